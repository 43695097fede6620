package main

import (
	"bytes"
	"embed"
	"strings"
	"text/template"

	"example.com/tidings/tools/internal/contract"
)

// The pages around what the contract says.
//
//go:embed *.tmpl
var templates embed.FS

// render returns the page that a template makes of what it shows.
func render(name string, shown any) ([]byte, error) {
	pages, err := template.New(name).Funcs(template.FuncMap{
		"anchor":   anchor,
		"cell":     cell,
		"lower":    strings.ToLower,
		"services": services,
		"short":    func(name string) string { return name[strings.LastIndex(name, ".")+1:] },
	}).ParseFS(templates, name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := pages.Execute(&out, shown); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// services are those of all files.
func services(files []file) []service {
	var all []service
	for _, f := range files {
		all = append(all, f.Services...)
	}
	return all
}

// cell makes a text fit into a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(text, "|", `\|`)
}

// prose makes Markdown of the paragraphs of a comment.
func prose(paragraphs []string) string {
	var all []string
	for _, paragraph := range paragraphs {
		if contract.IsExample(paragraph) {
			paragraph = "```proto\n" + strings.ReplaceAll(paragraph[4:], "\n    ", "\n") + "\n```"
		} else {
			paragraph = escape(paragraph)
		}
		all = append(all, paragraph)
	}
	return strings.Join(all, "\n\n")
}

// cellProse is prose in one line. An example becomes short code.
func cellProse(paragraphs []string) string {
	var all []string
	for _, paragraph := range paragraphs {
		if contract.IsExample(paragraph) {
			paragraph = "`" + strings.Join(strings.Fields(paragraph), " ") + "`"
		} else {
			paragraph = escape(paragraph)
		}
		all = append(all, paragraph)
	}
	return strings.Join(all, "<br>")
}

// escape keeps what looks like HTML from being taken for it, outside of code.
func escape(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], "<", "&lt;")
	}
	return strings.Join(parts, "`")
}
