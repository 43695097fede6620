// Package markdown takes out of a Markdown file what can be checked: its blocks
// of code, its short code and its links.
package markdown

import (
	"bytes"
	"os"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// Document is what a file holds, in its order.
type Document struct {
	Blocks []Block
	// Spans are the texts of short code, between backquotes.
	Spans []string
	// Links are the destinations of links and pictures.
	Links []string
}

// Block is a block of code.
type Block struct {
	// Language is the first word after the fence. Empty: there is none, or the
	// block is set off by its indentation.
	Language string
	// Text is what the block holds, without the fences.
	Text string
	// Line is the number of its first line in the file, from 1.
	Line int
}

// Read reads a file.
func Read(path string) (Document, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return Document{}, err
	}
	return Parse(source)
}

// Parse reads the text of a file.
func Parse(source []byte) (Document, error) {
	var document Document
	root := goldmark.DefaultParser().Parse(text.NewReader(source))
	err := ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch node := node.(type) {
		case *ast.FencedCodeBlock:
			document.addBlock(node, string(node.Language(source)), source)
		case *ast.CodeBlock:
			document.addBlock(node, "", source)
		case *ast.CodeSpan:
			document.Spans = append(document.Spans, spanText(node, source))
		case *ast.Link:
			document.Links = append(document.Links, string(node.Destination))
		case *ast.Image:
			document.Links = append(document.Links, string(node.Destination))
		}
		return ast.WalkContinue, nil
	})
	return document, err
}

func (d *Document) addBlock(node ast.Node, language string, source []byte) {
	lines := node.Lines()
	block := Block{Language: language}
	if lines.Len() > 0 {
		block.Line = 1 + bytes.Count(source[:lines.At(0).Start], []byte("\n"))
	}
	block.Text = string(lines.Value(source))
	d.Blocks = append(d.Blocks, block)
}

func spanText(node ast.Node, source []byte) string {
	var span []byte
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		if part, ok := child.(*ast.Text); ok {
			span = append(span, part.Segment.Value(source)...)
		}
	}
	return string(span)
}
