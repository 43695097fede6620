package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// scaleReport is what the measurements of scale found.
type scaleReport struct {
	Go     string     `json:"go"`
	System string     `json:"system"`
	CPUs   int        `json:"cpus"`
	Sync   string     `json:"sync"`
	Load   string     `json:"load_before"`
	Rows   []scaleRow `json:"rows"`
}

type scaleRow struct {
	What   string `json:"what"`
	Found  string `json:"found"`
	Target string `json:"target,omitempty"`
}

func newScaleReport(cfg config) *scaleReport {
	return &scaleReport{
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0),
		Sync: cfg.sync, Load: load(),
	}
}

// load is what the machine had to do in the last minute.
func load() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(content), " ")
	return one
}

func (r *scaleReport) write(out io.Writer, form string) error {
	if form == outputJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d CPUs; sync %s; load %s before and %s after.\n\n| what | found | target |\n|---|---|---|\n",
		r.Go, r.System, r.CPUs, r.Sync, r.Load, load())
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row.What, row.Found, row.Target)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
