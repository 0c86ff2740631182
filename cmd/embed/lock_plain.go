//go:build !unix

package embed

import "os"

// lockDir opens the lock file; without flock the ports alone keep a second process away.
func lockDir(name string) (*os.File, error) { return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644) }
