package schemas

import (
	"errors"
	"net/url"
	"strings"
	"time"
)

// A Server is an HTTP API outside, and who we are there.
type Server struct {
	URL     string // without a slash at its end; "" of a sink whose kind needs none
	User    string // with the token as password: HTTP basic authentication; "": the token is a bearer's
	Token   SecretRef
	TLS     *TLS          // nil: the system's certificates
	Timeout time.Duration // of each request
	Retries int           // after the first request, before it is given up for a while
}

// SecretRef says where a secret is: a file, or a variable of the environment, or neither. It never holds one.
type SecretRef struct{ File, Env string }

// Given says whether there is a secret at all.
func (r SecretRef) Given() bool { return r != SecretRef{} }

// serverFields are what a file says of a server, wherever it stands.
func serverFields(url need, timeout, retries string) []field {
	return []field{
		{key: "url", form: text(maxPath), need: url, example: "url: https://HOST", about: "http:// or https:// address of the server, without what its API adds to it"},
		{key: "user", form: text(maxAddress), about: "user's name, or API key, for basic authentication, with the token as password"},
		{key: "tokenFile", form: text(maxPath), about: "file that holds a bearer token, or the user's password, and nothing else; read for each request"},
		{key: "tokenEnv", form: text(maxAddress), about: "or a variable of the environment that holds it"},
		{key: "tls", form: tlsForm, about: "whom an https:// address must be signed by, and what we show; default: the system's certificates"},
		{key: "timeout", form: duration(100*time.Millisecond, time.Minute), def: timeout, about: "of each request"},
		{key: "retries", form: integer(0, 10), def: retries, about: "of a request that fails, one after the other, before it is given up for a while; sinks that move traffic have none"},
	}
}

// readServer reads it; checkServer refuses what can't be.
func readServer(s section) Server {
	return Server{
		URL: strings.TrimRight(s.text("url"), "/"), User: s.text("user"), Token: s.secret("token"), TLS: readTLS(s),
		Timeout: s.duration("timeout"), Retries: int(s.number("retries")),
	}
}

func checkServer(s section, server *Server) {
	if server.User != "" && !server.Token.Given() {
		s.refuse("user", "stands without a password: name its file with tokenFile")
	}
	if err := checkHTTP(server.URL); err != nil {
		s.refuse("url", "%s", err)
	}
	if strings.HasPrefix(server.URL, "http://") && server.TLS != nil {
		s.refuse("tls", "http:// asks for no certificate: write https://, or remove the key")
	}
}

// secret reads where a secret is.
func (s section) secret(name string) SecretRef {
	r := SecretRef{s.text(name + "File"), s.text(name + "Env")}
	if r.File != "" && r.Env != "" {
		s.refuse(name+"Env", "stands beside %sFile: remove one of the two", name)
	}
	return r
}

// checkHTTP says why a text is no address of an HTTP server; nil: it is one, or empty. It never repeats what may be a secret.
func checkHTTP(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it is no address of a server: write https://HOST or http://HOST:PORT")
	case u.User != nil:
		return errors.New("the address holds a secret before the @: use user and tokenFile")
	case u.Fragment != "":
		return errors.New("the address has a part behind #, which is never sent: remove it")
	}
	return nil
}

// readRegistry returns nil where there is no such key.
func readRegistry(around section, key string) *Server {
	if !around.given(key) {
		return nil
	}
	s := around.under(key)
	r := readServer(s)
	if !s.sound() {
		return &r
	}
	checkServer(s, &r)
	if strings.Contains(r.URL, "?") {
		s.refuse("url", "has something after a ?: write the address alone, e.g. https://HOST")
	}
	return &r
}
