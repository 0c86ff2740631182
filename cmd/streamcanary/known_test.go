package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKnownFile: a line that names no message is named by its number, with what is wanted there, and nothing of it is shown: a secret may stand in what was named by mistake.
func TestKnownFile(t *testing.T) {
	const sum, secret = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "hushhush"
	const want = "it names no message (what stands there isn't shown): want its number and the SHA-256 of its bytes, 64 digits of lower-case hex, as `decisions verify` prints them, and a note"
	for name, x := range map[string]struct{ text, want string }{
		"as it is to be":  {"# looked into\n8 " + sum + " a test of ours\n\n9 " + sum + "\n", ""},
		"one word":        {secret + "\n", "1: " + want},
		"a token":         {"# tokens\nadmin ada " + secret + "\n", "2: " + want},
		"no hash":         {"8 " + secret + "\n", "1: " + want},
		"capital letters": {"8 " + strings.ToUpper(sum) + "\n", "1: " + want},
		"a message twice": {"8 " + sum + "\n8 " + sum + " once more\n", "2: it names the message of line 1 once more: leave one of the two"},
	} {
		path := filepath.Join(t.TempDir(), "known.txt")
		if err := os.WriteFile(path, []byte(x.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readKnown(path)
		if got := strings.TrimPrefix(fmt.Sprint(err), path+":"); x.want == "" && err != nil || x.want != "" && got != x.want {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
}
