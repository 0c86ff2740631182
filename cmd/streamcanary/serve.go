package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/schemas"
)

type serveFlags struct {
	config, data, http  string
	brokers, nats       []string
	kafkaPort, natsPort int
	dryRun              bool
}

func serveCommand(c *console) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Judge live: Kafka in, decisions out on NATS",
		Long: `Reads events from Kafka, judges every rollout that was applied, and publishes signed decisions on NATS.

Without Kafka brokers it starts an embedded one, without NATS servers an embedded one, both on loopback with their data in
the data folder, and says on which addresses. Rollouts are applied with "streamcanary rollout apply".

Settings: a flag holds over its environment variable (STREAMCANARY_ and the flag's name, e.g. STREAMCANARY_NATS_URLS), that over
the configuration file, that over the default.`,
		Example: `  streamcanary serve
  streamcanary serve --config streamcanary.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(f.checkPorts(), f.checkAddresses()); err != nil {
				return wrongUse{err}
			}
			config, err := readConfig(c, f.config, f.data)
			if err != nil {
				return err
			}
			if len(f.brokers) > 0 {
				config.Kafka.Brokers = f.brokers
			}
			if len(f.nats) > 0 {
				config.NATS.URLs = f.nats
			}
			if f.http != "" {
				config.HTTP.Listen = f.http
			}
			return serve.Run(cmd.Context(), serve.Options{
				Config: config, Program: program(), Log: newLog(c), BrokerPort: f.kafkaPort, NATSPort: f.natsPort, DryRun: f.dryRun,
				Ready: func(a serve.Addresses) { announce(c, a) },
			})
		},
	}
	configFlags(cmd, &f.config, &f.data)
	cmd.Flags().StringSliceVar(&f.brokers, "kafka-brokers", nil, "Kafka `BROKERS`, host:port; otherwise the configuration's, or an embedded one")
	cmd.Flags().StringSliceVar(&f.nats, "nats-urls", nil, "NATS `URLS`; otherwise the configuration's, or an embedded server")
	cmd.Flags().StringVar(&f.http, "http-listen", "", "`ADDRESS` for health, metrics and status; otherwise the configuration's (127.0.0.1:8088)")
	cmd.Flags().IntVar(&f.kafkaPort, "embedded-kafka-port", 0, "`PORT` of the embedded broker; 0 is any free one")
	cmd.Flags().IntVar(&f.natsPort, "embedded-nats-port", 0, "`PORT` of the embedded NATS server; 0 is any free one")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "tell the configuration's sinks nothing: say in the log what each would be told, or would change")
	return cmd
}

// checkPorts refuses what no port can be.
func (f *serveFlags) checkPorts() error {
	for _, p := range []struct {
		flag string
		port int
	}{{"embedded-kafka-port", f.kafkaPort}, {"embedded-nats-port", f.natsPort}} {
		if p.port < 0 || p.port > math.MaxUint16 {
			return fmt.Errorf("--%s %d: a port is from 1 to %d, or 0 for any free one", p.flag, p.port, math.MaxUint16)
		}
	}
	return nil
}

// checkAddresses refuses what no address can be; whether something answers there is found out later.
func (f *serveFlags) checkAddresses() error {
	for _, broker := range f.brokers {
		if err := schemas.CheckAddress(broker); err != nil {
			return fmt.Errorf("--kafka-brokers: %w", err)
		}
	}
	for _, url := range f.nats {
		if err := schemas.CheckNATSURL(url); err != nil {
			return fmt.Errorf("--nats-urls: %w", err)
		}
	}
	if f.http == "" {
		return nil
	}
	if err := schemas.CheckAddress(f.http); err != nil {
		return fmt.Errorf("--http-listen: %w", err)
	}
	return nil
}

// readyLine is what `serve --json` says once it is.
type readyLine struct {
	Type string `json:"type"`
	serve.Addresses
}

// announce says on which addresses the service is; with --json on standard output, for machines.
func announce(c *console, a serve.Addresses) {
	if c.json {
		_ = json.NewEncoder(c.out).Encode(readyLine{"ready", a}) // who doesn't listen any more needs no address
		return
	}
	note := func(what string) string {
		for _, e := range a.Embedded {
			if e == what {
				return " (embedded)"
			}
		}
		return ""
	}
	fmt.Fprintf(c.err, `streamcanary is ready
  kafka    %v%s
  nats     %v%s
  http     http://%s  (/livez /readyz /metrics /v1/rollouts)
  key      %s
  trust    %s
next: streamcanary rollout apply --rollout FILE
`, a.Kafka, note("kafka"), a.NATS, note("nats"), a.HTTP, a.PublicKey, a.Trust)
}
