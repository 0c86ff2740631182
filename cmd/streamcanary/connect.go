package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// reach says where a running service is: by flags, by the configuration, or by what it left in its data folder.
type reach struct {
	config, data string
	nats, kafka  []string
	tokenFile    string // of whoever asks; "": none
	left         string // the data folder whose serve has left the NATS addresses; "": they are from elsewhere
}

// reachFlags adds the flags that say where a running service is.
func reachFlags(cmd *cobra.Command, r *reach) {
	configFlags(cmd, &r.config, &r.data)
	cmd.Flags().StringSliceVar(&r.nats, "nats-urls", nil, "NATS `URLS`; otherwise the configuration's, or those of the serve that runs on the data folder")
}

// tokenFlag adds the flag that says who asks.
func tokenFlag(cmd *cobra.Command, r *reach) {
	cmd.Flags().StringVar(&r.tokenFile, "token-file", os.Getenv("STREAMCANARY_TOKEN_FILE"), "the `FILE` with your token, where serve has http.tokensFile")
}

// token is what tells the service who asks; "": nothing does.
func (r *reach) token() (string, error) {
	if r.tokenFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(r.tokenFile)
	if err != nil {
		return "", wrongUse{fmt.Errorf("--token-file: %w", err)}
	}
	words := strings.Fields(string(text))
	if len(words) != 1 {
		return "", wrongUse{fmt.Errorf("--token-file: %s holds %s: it is to hold your token and nothing else, the last word of your line in http.tokensFile of serve",
			r.tokenFile, howMany(len(words), "word"))}
	}
	return "Bearer " + words[0], nil
}

// journalFlag adds the flag that says where the window journal is.
func journalFlag(cmd *cobra.Command, r *reach) {
	cmd.Flags().StringSliceVar(&r.kafka, "kafka-brokers", nil, "Kafka `BROKERS`; otherwise the configuration's, or those of the serve on the data folder")
}

func configFlags(cmd *cobra.Command, config, data *string) {
	cmd.Flags().StringVarP(config, "config", "c", "", "the configuration `FILE` (YAML); without one every default holds")
	cmd.Flags().StringVar(data, "data", "", "the data `FOLDER`; otherwise the configuration's (./streamcanary-data)")
}

// readConfig reads the configuration, or all defaults where there is no file.
func readConfig(c *console, file, data string) (*schemas.Config, error) {
	var text []byte
	if file != "" {
		var err error
		if text, err = readFile(c, file, "config"); err != nil {
			return nil, err
		}
	}
	config, err := schemas.ParseConfig(file, text)
	if err != nil {
		return nil, asUse(err)
	}
	if data != "" {
		config.Data = data
	}
	return config, nil
}

// addresses are those of a running service.
func (r *reach) addresses(c *console) (serve.Addresses, *schemas.Config, error) {
	config, err := readConfig(c, r.config, r.data)
	if err != nil {
		return serve.Addresses{}, nil, err
	}
	a := serve.Addresses{Kafka: config.Kafka.Brokers, NATS: config.NATS.URLs}
	if a.Token, err = r.token(); err != nil {
		return a, nil, err
	}
	path := filepath.Join(config.Data, serve.AddressFile)
	text, err := os.ReadFile(path)
	if err == nil {
		var left serve.Addresses
		if err := json.Unmarshal(text, &left); err != nil {
			return a, nil, fmt.Errorf("read %s: %w", path, err)
		}
		if len(a.Kafka) == 0 {
			a.Kafka = left.Kafka
		}
		if len(a.NATS) == 0 {
			a.NATS, r.left = left.NATS, config.Data
		}
		a.Trust, a.HTTP = left.Trust, left.HTTP
	} else if !errors.Is(err, fs.ErrNotExist) {
		return a, nil, err
	}
	if len(r.nats) > 0 {
		a.NATS, r.left = r.nats, ""
	}
	if len(a.NATS) == 0 {
		return a, nil, fmt.Errorf("where is NATS? No serve has run on the data folder %s: name it with --data, or name the servers with --nats-urls or --config", config.Data)
	}
	return a, config, nil
}

// brokers are those of the Kafka of a running service.
func (r *reach) brokers(c *console) ([]string, *schemas.Config, error) {
	a, config, err := r.addresses(c)
	switch {
	case err != nil:
		return nil, nil, err
	case len(r.kafka) > 0:
		return r.kafka, config, nil
	case len(a.Kafka) == 0:
		return nil, nil, errors.New("where is Kafka? Name the brokers with --kafka-brokers or --config")
	}
	return a.Kafka, config, nil
}

// bus connects to the NATS of a running service.
func (r *reach) bus(ctx context.Context, c *console) (*bus.Bus, serve.Addresses, error) {
	a, config, err := r.addresses(c)
	if err != nil {
		return nil, a, err
	}
	o := bus.Options{
		URLs: a.NATS, Name: program(), CredsFile: config.NATS.Creds,
		OnError: func(err error) { fmt.Fprintln(c.err, err) },
	}
	if o.TLS, err = serve.NATSTLS(config.NATS.TLS); err != nil {
		return nil, a, err
	}
	b, err := bus.Connect(ctx, o)
	if err != nil && r.left != "" {
		err = fmt.Errorf("the serve on the data folder %s isn't running, or its NATS isn't: %w", r.left, err)
	}
	return b, a, err
}

// newLog writes the program's log: JSON lines, or lines for people on a terminal.
func newLog(c *console) zerolog.Logger {
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	w := c.err
	if isTerminal(w) && !c.json {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != "" || !canRewrite(w)}
	}
	return zerolog.New(w).With().Timestamp().Logger()
}
