package schemas

import (
	"slices"
	"time"
)

// Bounds of a configuration file.
const (
	MaxBrokers = 64
	MaxSources = 256
	MaxSinks   = 64
	maxPath    = 4096
	maxAddress = 512
	maxGroup   = 249
)

// DefaultGroup is the consumer group where none is configured.
const DefaultGroup = "streamcanary"

const formatJSON = "json"

// The mechanisms with which a Kafka client may prove who it is.
const (
	SASLPlain       = "PLAIN"
	SASLScramSha256 = "SCRAM-SHA-256"
	SASLScramSha512 = "SCRAM-SHA-512"
)

// configForm is all that a configuration may hold, with its defaults.
var configForm = mapping(
	field{key: "apiVersion", form: word(APIVersion), def: APIVersion, about: "version of this file's shape"},
	field{key: "kind", form: word("Config"), def: "Config", about: "what this file is"},
	field{key: "data", form: text(maxPath), def: "./streamcanary-data", about: "folder of the embedded servers, snapshots and keys"},
	field{key: "kafka", about: "where the events come from; without brokers: the embedded broker", form: mapping(
		field{key: "brokers", form: list(0, MaxBrokers, text(maxAddress)), def: "[]", about: "host:port of some of the cluster's brokers"},
		field{key: "group", form: text(maxGroup), def: DefaultGroup, about: "consumer group that lag tools read: what was counted is committed to it, and nothing is read from it"},
		field{key: "tls", form: tlsForm, about: "TLS to the brokers; {} is TLS with the system's certificates"},
		field{key: "sasl", about: "who we are", form: mapping(
			field{key: "mechanism", form: word(SASLPlain, SASLScramSha256, SASLScramSha512), need: required,
				example: "mechanism: SCRAM-SHA-512", about: "how the password is proven"},
			field{key: "user", form: text(maxAddress), need: required, example: "user: streamcanary", about: "the user's name"},
			field{key: "passwordFile", form: text(maxPath), need: required, example: "passwordFile: /run/secrets/kafka", about: "file that holds the password and nothing else"},
		)},
	)},
	field{key: "sources", form: list(1, MaxSources, sourceForm), def: defaultSources, about: "the topics that are read"},
	field{key: "time", about: "when clocks are believed", form: mapping(
		field{key: "idleAfter", form: duration(100*time.Millisecond, day), def: "30s", about: "a partition in which nothing came for so long holds nobody back"},
		field{key: "maxAhead", form: duration(0, time.Hour), def: "1s", about: "an event further ahead of its broker's time is a dead letter"},
		field{key: "maxJump", form: duration(time.Second, 365*day), def: "1h", about: "without a broker's time: an event further ahead of its partition is held aside"},
	)},
	field{key: "join", form: word("auto", "repartition"), need: laterElse, def: "auto", about: "how outcomes find their predictions"},
	field{key: "nats", about: "where decisions go; without urls: the embedded server", form: mapping(
		field{key: "urls", form: list(0, MaxBrokers, text(maxAddress)), def: "[]", about: "nats:// or tls:// addresses of the servers"},
		field{key: "creds", form: text(maxPath), about: "file of NATS credentials"},
		field{key: "tls", form: tlsForm, about: "TLS to the servers; {} is TLS with the system's certificates"},
		field{key: "signingKey", form: text(maxPath), about: "PEM file of the Ed25519 key that signs decisions; default: keys/signing.pem in the data folder, made if absent"},
	)},
	field{key: "http", about: "health, readiness and metrics", form: mapping(
		field{key: "listen", form: text(maxAddress), def: "127.0.0.1:8088", about: "host:port to listen on"},
		field{key: "tokensFile", form: text(maxPath), about: "who may command rollouts, here and on NATS: a line `role name token` for each; roles: viewer, operator, admin, and alerter, for Alertmanager's webhook alone"},
	)},
	field{key: "registries", about: "where the pillars of rollouts look things up", form: mapping(
		field{key: "mlflow", form: registryForm, about: "the tracking server whose model registry has the versions"},
		field{key: "schemas", form: registryForm, about: "the Schema Registry that has the subjects"},
	)},
	field{key: "limits", form: limitsForm, about: "bounds of memory and work"},
	field{key: "keepRows", form: duration(0, 30*day), need: laterElse, def: "0s", about: "raw rows that are kept for export"},
	field{key: "sinks", form: names(MaxSinks, sinkForm), def: "{}", about: "who else hears of decisions, or carries them out; rollouts name them"},
)

var registryForm = mapping(serverFields(required, "5s", "2")...)

var tlsForm = mapping(
	field{key: "caFile", form: text(maxPath), about: "PEM certificates that are trusted; default: the system's"},
	field{key: "certFile", form: text(maxPath), about: "PEM certificate that we show"},
	field{key: "keyFile", form: text(maxPath), about: "PEM key of certFile"},
	field{key: "serverName", form: text(maxAddress), about: "name that the server's certificate must have; default: its host"},
	field{key: "insecureSkipVerify", form: form{kind: boolForm}, def: "false", about: "believes any certificate: for tests only"},
)

const defaultSources = `
- {topic: predictions, type: prediction, format: json}
- {topic: outcomes,    type: outcome,    format: json}
- {topic: samples,     type: sample,     format: json}
`

var sourceForm = mapping(
	field{key: "topic", form: text(249), need: required, example: "topic: predictions", about: "the Kafka topic"},
	field{key: "type", form: word("prediction", "outcome", "sample"), need: required, example: "type: prediction", about: "what it holds"},
	field{key: "format", form: word(formatJSON, "avro", "protobuf", "arrow", "cloudevents", "kserve", "seldon"), need: laterElse, def: formatJSON, about: "how it is written"},
	field{key: "mapping", form: names(maxListed, text(maxLabelBytes)), need: laterElse, def: "{}", about: "renames fields"},
)

// sinkForm has what any kind of sink may have; sinkRules says which of it a kind needs.
var sinkForm = mapping(slices.Concat([]field{
	{key: "kind", form: word(sinkKindWords()...), about: "what it is; default: the sink's name, if that is a kind"},
}, serverFields(optional, "10s", "4"), []field{
	{key: "secretFile", form: text(maxPath), about: "file of what a webhook signs with (a line each), of PagerDuty's routing key, or of the address of Slack's incoming webhook"},
	{key: "secretEnv", form: text(maxAddress), about: "or a variable of the environment that holds it"},
	{key: "file", form: text(maxPath), about: "of envoy: the file that it watches"},
	{key: "layer", form: text(maxAddress), about: "of envoy: name of its rtds_layer; default: streamcanary"},
})...)

var limitsForm = mapping(
	field{key: "pendingPredictions", form: integer(1000, 1e9), def: "20000000", about: "predictions that wait for outcomes"},
	field{key: "versions", form: integer(2, 1000), need: laterElse, def: "8", about: "versions of one model"},
	field{key: "segments", form: integer(1, 10000), need: laterElse, def: "200", about: "segments of one model"},
	field{key: "models", form: integer(1, 100000), need: laterElse, def: "1000", about: "models"},
	field{key: "eventBytes", form: integer(1024, MaxEventBytes), def: "262144", about: "one encoded event"},
	field{key: "memory", form: text(MaxNameBytes), need: laterElse, def: "auto", about: "of the process"},
	field{key: "decisionsPerHour", form: integer(1, 100000), need: laterElse, def: "60", about: "starts, advances and promotions; rollbacks are never delayed"},
)
