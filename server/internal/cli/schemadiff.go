package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/reserved"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func (a *app) schemaDiffCommand() *cobra.Command {
	var source schemaSource
	cmd := &cobra.Command{
		Use:   "diff " + schemaUse,
		Short: "Show how schemas differ from those of the server",
		Long: `Show how schemas differ from those of the server: what they add (+), lack (-)
and change (~). Fields are told apart by their numbers.

Comments, imports and services aren't compared, nor packages that only the
server has. Of what is lacking, a push leaves whole files on the server. The exit
status is 0 whether they differ or not; 'tidings schema check' says whether that
breaks anybody.

` + schemaSourceHelp,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantsJSON(cmd)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			local, err := source.read(cmd, args)
			if err != nil {
				return err
			}
			files := ofEvents(local.files)
			packages := make(map[string]bool)
			for _, file := range files {
				packages[file.GetPackage()] = true
			}
			remote, err := fetchFiles(cmd.Context(), c, packages)
			if err != nil {
				return err
			}
			return printDifferences(cmd, differences(elementsOf(remote), elementsOf(files)), asJSON)
		},
	}
	source.addFlags(cmd)
	addOutputFlag(cmd)
	return cmd
}

// printDifferences writes each difference on a line.
func printDifferences(cmd *cobra.Command, list []difference, asJSON bool) error {
	if len(list) == 0 && !asJSON {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "no difference")
		return err
	}
	for _, d := range list {
		line := d.String()
		if asJSON {
			var document strings.Builder
			encoder := json.NewEncoder(&document)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(d); err != nil {
				return err
			}
			line = strings.TrimSuffix(document.String(), "\n")
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), oneLine(line)); err != nil {
			return err
		}
	}
	return nil
}

// ofEvents returns the files that a server tells of through its event types:
// those that declare a message, and what they import.
func ofEvents(files []*descriptorpb.FileDescriptorProto) []*descriptorpb.FileDescriptorProto {
	byName := make(map[string]*descriptorpb.FileDescriptorProto, len(files))
	for _, file := range files {
		byName[file.GetName()] = file
	}
	reached := make(map[string]bool)
	for _, file := range files {
		if len(file.GetMessageType()) > 0 && !reserved.Package(file.GetPackage()) {
			reach(file, byName, reached)
		}
	}
	return slices.DeleteFunc(slices.Clone(files), func(file *descriptorpb.FileDescriptorProto) bool {
		return !reached[file.GetName()] || reserved.Package(file.GetPackage())
	})
}

// fetchFiles returns the server's files of some packages.
func fetchFiles(ctx context.Context, c *client, packages map[string]bool) ([]*descriptorpb.FileDescriptorProto, error) {
	byName := make(map[string]*descriptorpb.FileDescriptorProto)
	declared := make(map[protoreflect.FullName]bool) // The messages of these files.
	request := &tidingsv1.ListEventTypesRequest{IncludeUndeclared: true}
	for {
		page, err := c.schemas.ListEventTypes(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, t := range page.GetEventTypes() {
			name := protoreflect.FullName(t.GetName())
			// Event types are top-level messages.
			if declared[name] || !packages[string(name.Parent())] {
				continue
			}
			response, err := c.schemas.GetEventType(ctx, &tidingsv1.GetEventTypeRequest{Name: t.GetName()})
			if err != nil {
				return nil, err
			}
			for _, file := range response.GetFileDescriptorSet().GetFile() {
				if !packages[file.GetPackage()] {
					continue
				}
				byName[file.GetName()] = file
				for _, message := range file.GetMessageType() {
					declared[protoreflect.FullName(file.GetPackage()).Append(protoreflect.Name(message.GetName()))] = true
				}
			}
		}
		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			return slices.Collect(maps.Values(byName)), nil
		}
	}
}
