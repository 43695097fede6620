// The command apidocs writes what the documents say of the contract from the
// contract itself, its options, rules and comments: docs/errors.md, a page of
// docs/reference a package, and docs/openapi.yaml.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/tools/internal/contract"
	"example.com/tidings/tools/internal/openapi"
	"example.com/tidings/tools/internal/schemaimage"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "apidocs:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("apidocs", flag.ContinueOnError)
	root := flags.String("root", ".", "the `directory` of the checkout")
	buf := flags.String("buf", "buf", "the buf `binary` to run")
	output := flags.String("o", "docs", "the `directory` to write to, seen from the root")
	if err := flags.Parse(args); err != nil {
		return err
	}
	image, err := schemaimage.Contract(ctx, *buf, *root)
	if err != nil {
		return err
	}
	files, err := generate(image)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(*output) {
		*output = filepath.Join(*root, *output)
	}
	for name, data := range files {
		name = filepath.Join(*output, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files that an image gives, by their names below docs.
func generate(image []byte) (map[string][]byte, error) {
	set, err := schemaimage.Parse(image)
	if err != nil {
		return nil, err
	}
	descriptors, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	catalogues, err := readCatalogues(descriptors)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	if files["errors.md"], err = render("errors.md.tmpl", catalogues); err != nil {
		return nil, err
	}
	packages := contract.Files(descriptors)
	options := contract.New(slices.Concat(slices.Collect(maps.Values(packages))...))
	files["openapi.yaml"], err = openapi.Document(openapi.Contract{
		Packages: packages, Options: options, Codes: codes(catalogues), General: general(catalogues),
	})
	if err != nil {
		return nil, err
	}
	pages, err := references(packages, options, names(catalogues))
	maps.Copy(files, pages)
	return files, err
}

// references returns the pages of the packages of the contract.
func references(
	packages map[protoreflect.FullName][]protoreflect.FileDescriptor, options contract.Options, reasons []string,
) (map[string][]byte, error) {
	pages := make(map[string][]byte)
	for name, files := range packages {
		page, err := newReference(files, options, reasons)
		if err != nil {
			return nil, err
		}
		if pages[path.Join("reference", string(name)+".md")], err = render("reference.md.tmpl", page); err != nil {
			return nil, err
		}
	}
	return pages, nil
}
