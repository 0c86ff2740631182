package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// keyFile is where the signing key is, and trustFile where the file is that subscribers trust, in the data folder.
func keyFile(c *schemas.Config) string {
	if c.NATS.SigningKey != "" {
		return c.NATS.SigningKey
	}
	return filepath.Join(c.Data, "keys", "signing.pem")
}

func trustFile(c *schemas.Config) string { return filepath.Join(c.Data, "keys", "trust.txt") }

// signingKey reads the signing key, or makes one in the data folder where none is configured.
func signingKey(c *schemas.Config) (*schemas.SigningKey, error) {
	path := keyFile(c)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && c.NATS.SigningKey == "" {
		return newKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	key, err := schemas.ParseSigningKey(data)
	if err != nil {
		return nil, fmt.Errorf("read the signing key %s: %w", path, err)
	}
	return key, nil
}

func newKey(path string) (*schemas.SigningKey, error) {
	key, err := schemas.NewSigningKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	text, err := key.PEM()
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return key, writeWhole(path, text, 0o600)
}

// writeWhole writes a file so that it is there whole or not at all.
func writeWhole(path string, data []byte, mode os.FileMode) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writeTrust leaves the public key where subscribers on this machine find it. Keys that stand there stay: what they have signed is still in the decision log,
// and counts until somebody takes their line away.
func writeTrust(c *schemas.Config, key *schemas.SigningKey) (string, schemas.Trust, error) {
	path, err := filepath.Abs(trustFile(c)) // whoever reads the address file may stand in another folder
	if err != nil {
		return "", schemas.Trust{}, fmt.Errorf("find the key folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", schemas.Trust{}, fmt.Errorf("make the key folder: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", schemas.Trust{}, fmt.Errorf("read the trusted keys: %w", err)
	}
	if trust, err := schemas.ParseTrust(path, text); err == nil && slices.Contains(trust.IDs(), key.ID()) {
		return path, trust, nil
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	text = append(text, key.TrustLine()+"\n"...)
	trust, err := schemas.ParseTrust(path, text)
	if err != nil {
		return "", trust, fmt.Errorf("add the signing key to the trusted keys: %w", err)
	}
	return path, trust, writeWhole(path, text, 0o644)
}

// sourcePartitions asks how many partitions the event topics have.
func sourcePartitions(ctx context.Context, client *kafka.Client, c *schemas.Config) ([]ingest.Partition, error) {
	var topics []string
	for _, s := range c.Sources {
		topics = append(topics, s.Topic)
	}
	counts, err := client.Partitions(ctx, topics...)
	if err != nil {
		return nil, err
	}
	var all []ingest.Partition
	for _, topic := range topics {
		for n := range counts[topic] {
			all = append(all, ingest.Partition{Topic: topic, Number: n})
		}
	}
	return all, nil
}
