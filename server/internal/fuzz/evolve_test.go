package fuzz

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// evolve returns a file that was changed in a few places, whether that breaks
// somebody or not.
func (g *generator) evolve(file *fileProto) *fileProto {
	for {
		changed := proto.CloneOf(file)
		for range 1 + g.IntN(3) {
			g.change(changed)
		}
		if !proto.Equal(changed, file) && fits(changed) {
			return changed
		}
	}
}

func (g *generator) change(file *fileProto) {
	message := pick(g, file.GetMessageType()...)
	switch g.IntN(8) {
	case 0, 1:
		g.addField(file, message, g.one(5))
	case 2:
		g.changeEnum(file, pick(g, file.GetEnumType()...))
	case 3: // A message goes, and another comes.
		message.Name = new(message.GetName() + "x")
	case 4:
		g.changeSyntax(file)
	case 5:
		if len(file.GetExtension()) > 0 && g.one(2) {
			file.Extension = file.GetExtension()[1:]
		} else if file.GetSyntax() != "proto3" {
			g.addExtension(file, message)
		}
	default:
		if len(message.GetField()) > 0 {
			g.changeField(file, message, g.IntN(len(message.GetField())))
		}
	}
}

func (g *generator) changeField(file *fileProto, message *messageProto, i int) {
	f := message.GetField()[i]
	switch g.IntN(7) {
	case 0:
		message.Field = slices.Delete(message.GetField(), i, i+1)
	case 1:
		message.Field = slices.Delete(message.GetField(), i, i+1)
		message.ReservedRange = append(message.ReservedRange, &descriptorpb.DescriptorProto_ReservedRange{Start: f.Number, End: new(f.GetNumber() + 1)})
	case 2:
		f.Options = new(descriptorpb.FieldOptions)
		g.retype(file, message, f)
	case 3:
		f.Name, f.JsonName = new(fmt.Sprintf("renamed%d", f.GetNumber())), nil
	case 4: // Into a oneof.
		f.OneofIndex, f.Label = new(int32(len(message.GetOneofDecl()))), descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
		message.OneofDecl = append(message.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new(fmt.Sprintf("o%d", f.GetOneofIndex()))})
	case 5:
		f.Label, f.OneofIndex = pick(g, descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REPEATED, descriptorpb.FieldDescriptorProto_LABEL_REQUIRED).Enum(), nil
	default:
		f.Options = new(descriptorpb.FieldOptions)
		g.rule(f, g.one(4))
	}
}

func (g *generator) changeEnum(file *fileProto, enum *descriptorpb.EnumDescriptorProto) {
	value := &descriptorpb.EnumValueDescriptorProto{Name: new(fmt.Sprintf("%s_N%d", enum.GetName(), len(enum.GetValue()))), Number: new(int32(50 + len(enum.GetValue())))}
	switch g.IntN(4) {
	case 0: // An alias comes first.
		enum.Options = &descriptorpb.EnumOptions{AllowAlias: new(true)}
		value.Number = new(enum.GetValue()[0].GetNumber())
		enum.Value = slices.Insert(enum.GetValue(), 0, value)
	case 1:
		if len(enum.GetValue()) > 1 {
			enum.Value = enum.GetValue()[:len(enum.GetValue())-1]
		}
	case 2:
		enum.Options = &descriptorpb.EnumOptions{Features: g.features(file)}
	default:
		enum.Value = append(enum.Value, value)
	}
}

func (g *generator) changeSyntax(file *fileProto) {
	file.Syntax, file.Edition, file.Options = new(pick(g, "proto2", "proto3", "editions")), nil, nil
	if file.GetSyntax() == "editions" {
		file.Edition = descriptorpb.Edition_EDITION_2023.Enum()
		file.Options = &descriptorpb.FileOptions{Features: g.features(file)}
	}
}
