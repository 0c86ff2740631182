package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"streamcanary/analysis/stats"
	"streamcanary/cmd/serve"
	"streamcanary/schemas"
	"streamcanary/windows"
)

func windowsCommand(c *console) *cobra.Command {
	return group("windows", "Look at what was judged", windowsShowCommand(c))
}

func windowsShowCommand(c *console) *cobra.Command {
	var r reach
	var last int
	cmd := &cobra.Command{
		Use: "show ROLLOUT", Short: "Print the sealed parts of a rollout's windows, from the journal", Args: oneName,
		Long: `Reads the window journal and prints the sealed parts of the rollout's present epoch: per source partition, window and arm, what each
metric counted. The newest come last. Of values, the canary's line has how far they are from the baseline's in that part, as users of other judges know it: the
Kolmogorov-Smirnov distance (ks), and the two-sided Mann-Whitney p-value (mann_whitney_p). Nothing is decided by these two.`,
		Example: "  streamcanary windows show ranker-42 --last 50",
		RunE: func(cmd *cobra.Command, args []string) error {
			head, err := loadHead(cmd.Context(), c, &r, args[0])
			if err != nil {
				return err
			}
			return showWindows(cmd.Context(), c, &r, windowQuery{args[0], head.State.Epoch, last})
		},
	}
	reachFlags(cmd, &r)
	journalFlag(cmd, &r)
	cmd.Flags().IntVar(&last, "last", 20, "how many parts; 0 is all that the journal has")
	return cmd
}

type windowQuery struct {
	rollout string
	epoch   int64
	last    int
}

func showWindows(ctx context.Context, c *console, r *reach, q windowQuery) error {
	brokers, config, err := r.brokers(c)
	if err != nil {
		return err
	}
	var parts []windows.SealedPart
	err = serve.EachPart(ctx, &config.Kafka, brokers, func(key windows.Key, p *windows.Part) {
		if key.Rollout != q.rollout || key.Epoch != q.epoch || p.IsMark() {
			return
		}
		parts = append(parts, windows.SealedPart{Key: key, Part: p})
		if q.last > 0 && len(parts) > 2*q.last {
			parts = append(parts[:0], parts[len(parts)-q.last:]...)
		}
	})
	if err != nil {
		return err
	}
	if q.last > 0 && len(parts) > q.last {
		parts = parts[len(parts)-q.last:]
	}
	if len(parts) == 0 {
		fmt.Fprintf(c.err, "no window of rollout %s, epoch %d, is sealed yet\n", q.rollout, q.epoch)
		return nil
	}
	return printParts(c, parts)
}

// printParts writes a line for each arm of each part.
func printParts(c *console, parts []windows.SealedPart) error {
	var lines []windowLine
	for i := range parts {
		for arm := range windows.Arms {
			lines = append(lines, partLine(&parts[i], arm))
		}
	}
	if c.json {
		return printLines(c.out, lines)
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WINDOW\tPART\tPARTITION\tARM\tEVENTS\tLATE\tMETRIC: HITS OF N, OR VALUES")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%s/%d\t%s\t%d\t%d\t%s\n", l.Start, l.Part, l.Topic, l.Partition, l.Arm, l.Events, l.Late, l.metricsText())
	}
	return t.Flush()
}

func printLines(w io.Writer, lines []windowLine) error {
	e := json.NewEncoder(w)
	for _, l := range lines {
		if err := e.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

func (l *windowLine) metricsText() string {
	var texts []string
	for _, m := range l.Metrics {
		texts = append(texts, m.String())
	}
	return strings.Join(texts, "  ")
}

// windowLine is one arm of one sealed part, as `windows show --json` prints it.
type windowLine struct {
	Type      string         `json:"type"`
	Start     schemas.Time   `json:"start"`
	Part      string         `json:"part"`
	Outcome   string         `json:"outcome,omitempty"`
	Topic     string         `json:"topic"`
	Partition int32          `json:"partition"`
	Arm       string         `json:"arm"`
	Events    int64          `json:"events"`
	Late      int64          `json:"late"`
	Metrics   []windowMetric `json:"metrics"`
}

// windowMetric is one metric's count. A distribution has values and no hits; the canary's tells how it looks beside the baseline's.
type windowMetric struct {
	Metric       string   `json:"metric"`
	N            int64    `json:"n"`
	Hits         *int64   `json:"hits,omitempty"`
	KS           *float64 `json:"ks,omitempty"`
	MannWhitneyP *float64 `json:"mann_whitney_p,omitempty"`
}

// String is e.g. "error: 3 of 73", of a distribution "latency: 73 values" or "latency: 73 values (KS 0.12, p 0.31)".
func (m windowMetric) String() string {
	switch {
	case m.N == 0:
		return m.Metric + ": none"
	case m.KS != nil && m.MannWhitneyP != nil:
		return fmt.Sprintf("%s: %d values (KS %.3g, p %.3g)", m.Metric, m.N, *m.KS, *m.MannWhitneyP)
	case m.Hits == nil:
		return fmt.Sprintf("%s: %d values", m.Metric, m.N)
	}
	return fmt.Sprintf("%s: %d of %d", m.Metric, *m.Hits, m.N)
}

func partLine(s *windows.SealedPart, arm int) windowLine {
	name := "baseline"
	if windows.Arm(arm) == windows.Canary {
		name = "canary"
	}
	line := windowLine{
		Type: "window", Start: schemas.Time(s.Part.StartMs), Part: s.Part.Kind.String(), Outcome: s.Part.Name,
		Topic: s.Key.Partition.Topic, Partition: s.Key.Partition.Number, Arm: name,
		Events: s.Part.Traffic[arm].Events, Late: s.Part.Traffic[arm].Late, Metrics: []windowMetric{},
	}
	for i, cell := range s.Part.Cells[arm] {
		m := windowMetric{Metric: s.Part.Metrics[i], N: cell.N}
		if len(cell.Hist) == 0 {
			m.Hits = &cell.K
		} else if base := s.Part.Cells[windows.Baseline][i].Hist; windows.Arm(arm) == windows.Canary && len(base) > 0 {
			distance, p := stats.KSDistance(cell.Hist, base), stats.MannWhitney(cell.Hist, base).P
			m.KS, m.MannWhitneyP = &distance, &p
		}
		line.Metrics = append(line.Metrics, m)
	}
	return line
}
