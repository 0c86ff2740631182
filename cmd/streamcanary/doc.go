// Command streamcanary judges canary versions of models from their event streams: see `streamcanary help`.
//
// Read main.go for how a command line becomes a call and an error an exit status, then one file per subcommand.
// The subcommands hold no logic of their own: they parse, call cmd/engine (judge a log) or cmd/serve (judge live),
// and print. Data goes to standard output, everything meant for people to standard error.
package main
