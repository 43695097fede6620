package main

import (
	"bytes"
	_ "embed"
	"strings"
	"text/template"
)

// pageText is the page around the table.
//
//go:embed errors.md.tmpl
var pageText string

// render returns the page.
func render(reasons []reason) ([]byte, error) {
	page, err := template.New("errors.md").Funcs(template.FuncMap{
		"cell":  cell,
		"lower": strings.ToLower,
	}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := page.Execute(&out, reasons); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// cell makes a text fit into a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(text, "|", `\|`)
}
