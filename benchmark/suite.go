package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// suite is a set of tables that are measured together.
type suite struct {
	name  string // Of its flag, and of its place in the documents.
	about string // What its flag does. Empty: it is what is measured without a flag.
	// turns is into how many shorter runs each is divided, where rows differ by less than
	// runs do. 0: 1.
	turns int
	// start starts the servers and returns the rows, in the order of their sections, and
	// what ends the servers, which is never nil.
	start func(ctx context.Context, cfg config, progress io.Writer) (rows []row, stop func() error, err error)
}

// form is which columns a table has.
type form int

const (
	rates   form = iota // Events a second.
	calls               // Events a second, and how long each call took.
	loaded              // How long events took at a rate that is given.
	costing             // Events a second, and the server's processor time for each.
)

// section is a table.
type section struct {
	title     string
	yardstick string // What the ratios are to, in the head of the table.
	form      form
}

// row is a line of a table: a workload, and the yardstick that it is compared with.
type row struct {
	name    string // Unique in the suite.
	label   string // What tables say, where its section makes it clear. Empty: the name.
	section section
	against string // The name of the yardstick's row, in the same section. Its own: it is one.
	note    string // What has to be known of it beside its name, or empty.
	// servers are those whose processor time counts. None: it isn't measured.
	servers []*process
	measure func(ctx context.Context, least time.Duration) (sample, error)
}

// sample is what one measurement found.
type sample struct {
	rate           float64 // Events a second.
	events         int
	p50, p99, p999 time.Duration
	spent          time.Duration // Processor time of the servers for an event.
}

// measureSuite measures every row in every run and returns the medians.
func measureSuite(ctx context.Context, cfg config, suite suite, progress io.Writer) (found *report, err error) {
	turns := max(suite.turns, 1)
	cfg.runs *= turns
	cfg.duration /= time.Duration(turns)
	rows, stop, err := suite.start(ctx, cfg, progress)
	defer func() {
		if stopped := stop(); err == nil {
			err = stopped
		}
	}()
	if err != nil {
		return nil, err
	}
	rows = chosen(rows, cfg.rows)
	found = newReport(cfg, suite, rows)
	var sections [][]row
	for i, r := range rows {
		if i == 0 || rows[i-1].section != r.section {
			sections = append(sections, nil)
		}
		sections[len(sections)-1] = append(sections[len(sections)-1], r)
	}
	// The first run warms up and isn't kept.
	for run := range cfg.runs + 1 {
		for _, section := range sections {
			samples, others, err := measureSection(ctx, cfg, run, section, progress, processors)
			if err != nil {
				return nil, err
			}
			if run > 0 {
				found.add(samples, others)
			}
		}
	}
	return found, nil
}

// measureSection measures the rows of a section once, and again while others use much of
// the machine, as often as the configuration allows. The least disturbed samples count.
func measureSection(ctx context.Context, cfg config, run int, rows []row, progress io.Writer, use func() processorUse) (samples map[string]sample, of disturbance, err error) {
	cfg.duration = max(cfg.duration, 1)
	if run == 0 {
		cfg.duration = (cfg.duration + 3) / 4
		cfg.repeats = 0
	}
	for {
		before := use()
		found := make(map[string]sample, len(rows))
		for i := range rows {
			r := rows[i]
			if r.section.form == costing { // Each begins as often as the others.
				r = rows[(i+run+of.repeats)%len(rows)]
			}
			fmt.Fprintf(progress, "%s %2d/%d  %-45s", runName(run, cfg.runs), i+1, len(rows), r.name)
			s, err := r.sample(ctx, cfg.duration)
			if err != nil {
				fmt.Fprintln(progress)
				return nil, of, fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Fprintf(progress, " %9.0f/s\n", s.rate)
			found[r.name] = s
		}
		share := use().othersSince(before)
		if samples == nil || share < of.share {
			samples, of.share = found, share
		}
		if of.share <= cfg.disturbed/100 || of.repeats >= cfg.repeats {
			return samples, of, nil
		}
		of.repeats++
		fmt.Fprintf(progress, "others took %.0f %% of the processors: once more\n", share*100)
	}
}

// sample measures the row, and the processor time of its servers.
func (r row) sample(ctx context.Context, least time.Duration) (sample, error) {
	before, err := spentBy(r.servers)
	if err != nil {
		return sample{}, err
	}
	s, err := r.measure(ctx, least)
	if err != nil || s.events == 0 {
		return s, err
	}
	after, err := spentBy(r.servers)
	s.spent = (after - before) / time.Duration(s.events)
	return s, err
}

func spentBy(servers []*process) (sum time.Duration, err error) {
	for _, p := range servers {
		spent, err := processorTime(p.Pid())
		if err != nil {
			return 0, err
		}
		sum += spent
	}
	return sum, nil
}

func runName(run, runs int) string {
	if run == 0 {
		return "warm-up"
	}
	return fmt.Sprintf("run %d/%d", run, runs)
}

// chosen returns the rows whose name or section matches, and their yardsticks.
func chosen(rows []row, pattern interface{ MatchString(s string) bool }) []row {
	needed := make(map[string]bool)
	for _, row := range rows {
		if pattern.MatchString(row.name) || pattern.MatchString(row.section.title) {
			needed[row.name], needed[row.against] = true, true
		}
	}
	return slices.DeleteFunc(rows, func(r row) bool { return !needed[r.name] })
}
