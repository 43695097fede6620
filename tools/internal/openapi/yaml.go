package openapi

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// object is a mapping of YAML whose keys keep their order.
type object struct{ node yaml.Node }

func newObject(pairs ...any) *object {
	o := &object{node: yaml.Node{Kind: yaml.MappingNode}}
	for pair := range slices.Chunk(pairs, 2) {
		o.set(fmt.Sprint(pair[0]), pair[1])
	}
	return o
}

// set adds a key with its value, or gives a key that is there another value.
func (o *object) set(key string, value any) {
	node := new(yaml.Node)
	switch value := value.(type) {
	case *object:
		node = &value.node
	case []*object:
		node.Kind = yaml.SequenceNode
		for _, item := range value {
			node.Content = append(node.Content, &item.node)
		}
	default:
		// What this package sets are texts, numbers, bools and lists of them.
		if err := node.Encode(value); err != nil {
			panic(err)
		}
	}
	for i := 0; i < len(o.node.Content); i += 2 {
		if o.node.Content[i].Value == key {
			o.node.Content[i+1] = node
			return
		}
	}
	name := new(yaml.Node)
	name.SetString(key)
	o.node.Content = append(o.node.Content, name, node)
}

// encode writes a document, below a comment.
func (o *object) encode(comment string) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# " + comment + "\n")
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&o.node); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}
