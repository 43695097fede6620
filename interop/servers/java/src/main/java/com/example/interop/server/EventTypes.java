package com.example.interop.server;

import com.example.tidings.options.v1.EventOptions;
import com.example.tidings.options.v1.Options;
import com.example.tidings.v1.Topic;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.Message;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The event types that the server has been given. */
final class EventTypes {
  /** Stands for every type among those that a topic names. */
  static final String ANY = "*";

  private final Map<String, EventType> types = new HashMap<>();

  /** Takes every message of a file, also those within messages. */
  EventTypes(FileDescriptor file) {
    add(file.getMessageTypes());
  }

  private void add(List<Descriptor> messages) {
    for (Descriptor message : messages) {
      if (!message.getOptions().getMapEntry()) {
        EventOptions options = message.getOptions().getExtension(Options.event);
        types.put(message.getFullName(), new EventType(message, options));
        add(message.getNestedTypes());
      }
    }
  }

  /** Returns the type with a full name, or null. */
  EventType find(String name) {
    return types.get(name);
  }

  /**
   * Says whether a topic takes a type: one of those that it names or, where it names none, that
   * declare it, if there are such.
   */
  boolean takes(Topic topic, String name) {
    List<String> named = topic.getSettings().getEventTypesList();
    if (named.isEmpty()) {
      named =
          types.values().stream()
              .filter(type -> type.options().getTopic().equals(topic.getName()))
              .map(type -> type.message().getFullName())
              .toList();
    }
    return named.isEmpty() || named.contains(ANY) || named.contains(name);
  }

  Collection<EventType> all() {
    return types.values();
  }

  /** A message that can be published. */
  record EventType(Descriptor message, EventOptions options) {
    /** Returns the value of the field that the type names as its key; empty if it has none. */
    String keyOf(Message payload) {
      if (options.getKey().isEmpty()) {
        return "";
      }
      Object value = payload;
      for (String name : options.getKey().split("\\.")) {
        Message holder = (Message) value;
        FieldDescriptor field = holder.getDescriptorForType().findFieldByName(name);
        if (!holder.hasField(field)) {
          return "";
        }
        value = text(field, holder.getField(field));
      }
      return (String) value;
    }

    /** Returns the text of a field's value; a message as it is. */
    private static Object text(FieldDescriptor field, Object value) {
      return switch (field.getType()) {
        case MESSAGE -> value;
        case ENUM -> ((EnumValueDescriptor) value).getName();
        case UINT32, FIXED32 -> Integer.toUnsignedString((int) value);
        case UINT64, FIXED64 -> Long.toUnsignedString((long) value);
        default -> value.toString();
      };
    }
  }
}
