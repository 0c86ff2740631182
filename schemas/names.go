package schemas

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Names of what stands in NATS.
const (
	StreamName       = "STREAMCANARY"
	RoutesBucket     = "streamcanary-routes"   // key: RouteKey(model); value: a Signed decision
	RolloutsBucket   = "streamcanary-rollouts" // keys: SpecKey and StateKey of a rollout, PinsKey of a model
	HeartbeatSubject = "streamcanary.heartbeat"
	decisionSubject  = "streamcanary.decision."
	ackSubject       = "streamcanary.ack."
	noticeSubject    = "streamcanary.event."
	commandSubject   = "streamcanary.command."
	AllDecisions     = decisionSubject + ">" // every model's decisions
	AllAcks          = ackSubject + ">"      // every consumer's acks
	AllNotices       = noticeSubject + ">"   // every model's notices
	AllCommands      = commandSubject + ">"  // what people ask of every rollout
	HeaderMessageID  = "Nats-Msg-Id"         // the decision's id
	HeaderKeyID      = "Sc-Key-Id"           // which key signed
	HeaderDryRun     = "Sc-Dry-Run"          // of a dry run: no sink is told of it by a later run
	HeaderSignature  = "Sc-Signature"        // base64 of the Ed25519 signature over the exact body
	HeaderPublicKey  = "Sc-Public-Key"       // base64 of the key; only subscribers that trust on first use look at it
)

const (
	hexDigits    = "0123456789ABCDEF"
	encodedBytes = 3 // a byte that needs it: =XX
)

// plainByte says whether a byte stands for itself in a subject or key.
func plainByte(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// EncodeName writes a name as one token of a subject or key: every byte outside [A-Za-z0-9_-] as =XX, in upper-case
// hex. Different names have different tokens. The empty name has none, nor one of more than MaxNameBytes.
func EncodeName(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("encode name: it is empty")
	case len(name) > MaxNameBytes:
		return "", fmt.Errorf("encode name %.20q…: it has %d bytes, %d are allowed", name, len(name), MaxNameBytes)
	}
	var token strings.Builder
	for i := range len(name) {
		if c := name[i]; plainByte(c) {
			token.WriteByte(c)
		} else {
			token.Write([]byte{'=', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return token.String(), nil
}

// DecodeName reads a token that EncodeName wrote, and refuses every other one.
func DecodeName(token string) (string, error) {
	if token == "" || len(token) > encodedBytes*MaxNameBytes {
		return "", fmt.Errorf("decode name: a token of %d bytes is none", len(token))
	}
	name := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		switch {
		case plainByte(c):
			name = append(name, c)
			continue
		case c != '=' || i+2 >= len(token):
			return "", fmt.Errorf("decode name %q: byte %d is not allowed there", token, i)
		}
		high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if high < 0 || low < 0 || plainByte(byte(high<<4|low)) {
			return "", fmt.Errorf("decode name %q: %q encodes nothing that needs it", token, token[i:i+3])
		}
		name = append(name, byte(high<<4|low))
		i += 2
	}
	if len(name) > MaxNameBytes {
		return "", fmt.Errorf("decode name: it has %d bytes, %d are allowed", len(name), MaxNameBytes)
	}
	return string(name), nil
}

// DecisionSubject is where a model's decisions are published.
func DecisionSubject(model string) (string, error) { return subject(decisionSubject, model) }

// AckSubject is where a consumer acknowledges a model's decisions.
func AckSubject(model, consumer string) (string, error) { return subject(ackSubject, model, consumer) }

// NoticeSubject is where notices of a kind about a model are published.
func NoticeSubject(model string, kind NoticeKind) (string, error) {
	return subject(noticeSubject, model, string(kind))
}

// CommandSubject is where people ask something of a rollout.
func CommandSubject(rollout string) (string, error) { return subject(commandSubject, rollout) }

// RouteKey is a model's key in RoutesBucket.
func RouteKey(model string) (string, error) { return EncodeName(model) }

// AgainPrefix begins the keys in RoutesBucket under which decisions without routes are asked again. No model's key has a slash; and it is one token, so that who may write all models' keys may
// write these, too.
const AgainPrefix = "again/"

// AgainKey is where a model's newest decision is asked again, where it has no routes. Its value is as that of RouteKey; it is in force for nobody who hasn't read the decision in the log.
func AgainKey(model string) (string, error) {
	token, err := EncodeName(model)
	return AgainPrefix + token, err
}

// SpecKey is the key of a rollout's file in RolloutsBucket; `apply` writes it.
func SpecKey(rollout string) (string, error) { return keyOf(rollout, ".spec") }

// StateKey is the key of a rollout's record in RolloutsBucket; the engine alone writes it.
func StateKey(rollout string) (string, error) { return keyOf(rollout, ".state") }

// PinsKey is the key of what a model's registered versions were at first sight, in RolloutsBucket; the engine alone writes it.
func PinsKey(model string) (string, error) { return keyOf(model, ".pins") }

func keyOf(name, suffix string) (string, error) {
	token, err := EncodeName(name)
	return token + suffix, err
}

func subject(prefix string, names ...string) (string, error) {
	tokens := make([]string, len(names))
	for i, name := range names {
		token, err := EncodeName(name)
		if err != nil {
			return "", err
		}
		tokens[i] = token
	}
	return prefix + strings.Join(tokens, "."), nil
}

// SubjectNames returns the decoded names behind the prefix of a decision, ack or notice subject: the model, and for
// acks the consumer, for notices the kind.
func SubjectNames(subject string) ([]string, error) {
	for _, prefix := range []string{decisionSubject, ackSubject, noticeSubject, commandSubject} {
		rest, found := strings.CutPrefix(subject, prefix)
		if !found {
			continue
		}
		var names []string
		for token := range strings.SplitSeq(rest, ".") {
			name, err := DecodeName(token)
			if err != nil {
				return nil, fmt.Errorf("subject %q: %w", subject, err)
			}
			names = append(names, name)
		}
		return names, nil
	}
	return nil, fmt.Errorf("subject %q is none of a decision, an ack, a notice or a command", subject)
}

// Readable returns a name, or a sentence that has one, for people: quoted where a terminal would obey it, or not show it as it is, since some producer, or whoever commands or answers, wrote it.
func Readable(name string) string {
	unfit := func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }
	if strings.ContainsFunc(name, unfit) {
		return strconv.Quote(name)
	}
	return name
}
