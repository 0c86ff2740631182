package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestNoTokens: nobody could do anything, which is no file that anybody means.
func TestNoTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("# nobody yet\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "read http.tokensFile: " + file + " has no token, so everybody would be denied: write a line `admin NAME TOKEN`, or remove http.tokensFile"
	if _, err := peopleOf(&schemas.HTTP{Listen: "127.0.0.1:1", TokensFile: file}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestWrongTokens: what is wrong with a line of http.tokensFile is said by its number and what is wanted there, and nothing of it is shown: in a wrong order of the words each one may be the token.
func TestWrongTokens(t *testing.T) {
	const secret = "secret-0123456789abcdef"
	for _, row := range []struct{ name, line, want string }{
		{"token first", secret + " ada operator", ":2: the first word is no role (alerter, viewer, operator or admin): a line is role, name and token"},
		{"token second", "operator " + secret + " ada", ":2: the token, the third word, has 3 bytes: give it 16 or more"},
		{"twice", "viewer eve first-0123456789abcdef", ":2: its token, the third word, stands on an earlier line already: each name has its own"},
		{"a name too many", "operator " + secret + " " + secret + " ada", ":2: 4 words: a line is role, name and token"},
		{"a long name", "operator " + strings.Repeat(secret, 100) + " " + secret, ":2: the name has 2300 bytes, 128 are allowed"},
	} {
		file := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(file, []byte("admin root first-0123456789abcdef\n"+row.line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := peopleOf(&schemas.HTTP{Listen: "127.0.0.1:1", TokensFile: file})
		if err == nil || err.Error() != "read http.tokensFile: "+file+row.want {
			t.Errorf("%s: %v", row.name, err)
		}
		if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "eve")) {
			t.Errorf("%s: a word of the line is shown: %v", row.name, err)
		}
	}
}
