package schema

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// What an image from a client may hold, so that a small one can't cost much
// memory or time.
const (
	maxFiles    = 5_000
	maxMessages = 20_000  // With those in others, and the entries of maps.
	maxFields   = 200_000 // With the values of enums.
	maxTopics   = 1_000   // That files declare.
	maxNesting  = 32      // Messages in messages.
	maxName     = 512     // Bytes of a full name.
	// maxParts bounds the parts that an image has in its encoding: the above,
	// places, comments, options and what else there is.
	maxParts = 1_000_000
)

// ReadBoundedImage is ReadImage for images from clients.
func ReadBoundedImage(encoded []byte) (*Image, error) {
	if bytes.Count(encoded, []byte("{")) > maxParts {
		return nil, errTooManyParts // In JSON each is an object.
	}
	encoded, err := binaryOf(encoded)
	if err != nil {
		return nil, err
	}
	parts := 0
	if err := countParts(encoded, (*descriptorpb.FileDescriptorSet)(nil).ProtoReflect().Descriptor(), &parts, 0); err != nil {
		return nil, err
	}
	image, err := readBinary(encoded)
	if err == nil {
		err = image.bounded()
	}
	return image, err
}

var errTooManyParts = fmt.Errorf("more than %d files, elements, options, places and comments", maxParts)

// countParts adds up the messages in an encoded one. What isn't an encoding, or is
// deeper than any is decoded, is left to who decodes it.
func countParts(encoded []byte, message protoreflect.MessageDescriptor, parts *int, depth int) error {
	if depth > protowire.DefaultRecursionLimit {
		return nil
	}
	for len(encoded) > 0 {
		number, wire, n := protowire.ConsumeTag(encoded)
		if n < 0 {
			return nil
		}
		encoded = encoded[n:]
		if n = protowire.ConsumeFieldValue(number, wire, encoded); n < 0 {
			return nil
		}
		field := message.Fields().ByNumber(number)
		if field != nil && field.Message() != nil && wire == protowire.BytesType {
			*parts++
			if *parts > maxParts {
				return errTooManyParts
			}
			part, _ := protowire.ConsumeBytes(encoded)
			if err := countParts(part, field.Message(), parts, depth+1); err != nil {
				return err
			}
		}
		encoded = encoded[n:]
	}
	return nil
}

// counts are what an image declares.
type counts struct{ messages, fields int }

// bounded returns an error where the image declares more than it may.
func (i *Image) bounded() error {
	if len(i.files) > maxFiles {
		return fmt.Errorf("%d files: at most %d can be registered at once", len(i.files), maxFiles)
	}
	var c counts
	topics := 0
	for _, file := range i.files {
		topics += len(topicOptions(file.GetOptions()))
		if err := c.messagesIn(file.GetPackage(), file.GetMessageType(), 1); err != nil {
			return fmt.Errorf("%s: %w", file.GetName(), err)
		}
		c.fields += len(file.GetExtension())
		for _, enum := range file.GetEnumType() {
			c.fields += len(enum.GetValue())
		}
	}
	switch {
	case topics > maxTopics:
		return fmt.Errorf("%d topics: at most %d can be registered at once", topics, maxTopics)
	case c.messages > maxMessages:
		return fmt.Errorf("%d messages: at most %d can be registered at once", c.messages, maxMessages)
	case c.fields > maxFields:
		return fmt.Errorf("%d fields and values of enums: at most %d can be registered at once", c.fields, maxFields)
	default:
		return nil
	}
}

func (c *counts) messagesIn(scope string, messages []*descriptorpb.DescriptorProto, depth int) error {
	if len(messages) > 0 && depth > maxNesting {
		return fmt.Errorf("messages are declared in each other more than %d deep", maxNesting)
	}
	for _, message := range messages {
		name := scope + "." + message.GetName()
		if len(name) > maxName {
			return fmt.Errorf("a full name is longer than %d bytes", maxName)
		}
		c.messages++
		c.fields += len(message.GetField()) + len(message.GetExtension())
		for _, enum := range message.GetEnumType() {
			c.fields += len(enum.GetValue())
		}
		if err := c.messagesIn(name, message.GetNestedType(), depth+1); err != nil {
			return err
		}
	}
	return nil
}
