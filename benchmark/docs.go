package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// publish writes the report into a document, and its plot into the directory beside it that
// has the document's name.
func (r *report) publish(document string) error {
	dir := strings.TrimSuffix(document, filepath.Ext(document))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	plot := r.plot()
	file := filepath.Join(dir, r.Suite+".svg")
	if err := os.WriteFile(file, []byte(plot.svg()), 0o644); err != nil {
		return err
	}
	image := fmt.Sprintf("\n![%s. The figures are in the tables above.](%s/%s.svg)\n", plot.title, filepath.Base(dir), r.Suite)
	return placeInDocument(document, r.Suite, r.markdown()+image)
}

// placeInDocument writes text into a document, between the lines <!-- bench:NAME --> and
// <!-- bench:NAME end -->, in place of what is there. The rest stays as it is.
func placeInDocument(path, name, text string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := "<!-- bench:"+name+" -->\n", "<!-- bench:"+name+" end -->\n"
	before, rest, ok := strings.Cut(string(content), begin)
	if !ok {
		return fmt.Errorf("%s: there is no line %s", path, strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return fmt.Errorf("%s: no line %s follows", path, strings.TrimSpace(end))
	}
	document := before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after
	return os.WriteFile(path, []byte(document), 0o600)
}
