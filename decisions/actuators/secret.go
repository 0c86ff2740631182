package actuators

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"streamcanary/schemas"
)

// maxSecret bounds a file or variable that holds a secret.
const maxSecret = 16 << 10

// readSecret reads what a reference names, without blanks around it; "" where nothing is named. No error holds what was read.
func readSecret(what string, r schemas.SecretRef) (string, error) {
	var text, where string
	switch {
	case r.File != "":
		where = "file " + r.File
		data, err := os.ReadFile(r.File)
		if err != nil {
			return "", fmt.Errorf("read its %s: %w", what, err)
		}
		text = string(data)
	case r.Env != "":
		where = "variable " + r.Env
		text = os.Getenv(r.Env)
	default:
		return "", nil
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", fmt.Errorf("read its %s: %s is empty", what, where)
	case len(text) > maxSecret:
		return "", fmt.Errorf("read its %s: %s has %d bytes, %d are allowed: is it the right one?", what, where, len(text), maxSecret)
	}
	return text, nil
}

// ReadToken reads the token of a server, or its user's password; "" where none is named. No error holds what was read.
func ReadToken(r schemas.SecretRef) (string, error) {
	token, err := readSecret("token", r)
	if strings.ContainsAny(token, "\r\n") {
		return "", errors.New("read its token: it has more than one line: a file holds one token and nothing else")
	}
	return token, err
}

// secrets are those that one request knows.
type secrets struct{ token, secret string }

// secrets reads both of a sink's.
func (c *courier) secrets() (s secrets, err error) {
	if s.token, err = ReadToken(c.sink.Token); err != nil {
		return s, err
	}
	s.secret, err = readSecret("secret", c.sink.Secret)
	return s, err
}

// shortestSecret is what is looked for in a text at all: what is shorter would be found in any.
const shortestSecret = 4

// redact takes the secrets out of a text, each line of them for itself, too.
func (s secrets) redact(text string) string {
	for _, secret := range append([]string{s.token, s.secret}, strings.Fields(s.secret)...) {
		if len(secret) >= shortestSecret {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}
