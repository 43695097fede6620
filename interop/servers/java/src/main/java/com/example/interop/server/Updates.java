package com.example.interop.server;

import com.example.tidings.options.v1.FieldBehavior;
import com.example.tidings.options.v1.FieldBehaviorOuterClass;
import com.example.tidings.options.v1.Retention;
import com.example.tidings.options.v1.TopicSettings;
import com.example.tidings.v1.ErrorReason;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.FieldMask;
import com.google.protobuf.Message;
import com.google.protobuf.MessageOrBuilder;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Changes of a resource, after AIP-134. */
final class Updates {
  private static final String EVERYTHING = "*";

  /** Messages whose fields are settings of their own, rather than one value together. */
  private static final Set<Descriptor> GROUPS =
      Set.of(TopicSettings.getDescriptor(), Retention.getDescriptor());

  private Updates() {}

  /**
   * Changes what a mask names to what it is in {@code wanted}. Without a mask, what is set there is
   * merged. The name is that of the request's field with the resource.
   */
  static void apply(Message.Builder resource, Message wanted, FieldMask mask, String name) {
    refuseImmutable(resource, wanted, name);
    if (mask.getPathsCount() == 0) {
      merge(resource, wanted);
    } else if (mask.getPathsList().equals(List.of(EVERYTHING))) {
      replace(resource, wanted);
    } else {
      for (int i = 0; i < mask.getPathsCount(); i++) {
        String path = mask.getPaths(i);
        String why = unfit(wanted.getDescriptorForType(), path);
        if (!why.isEmpty()) {
          throw Fault.of(
              ErrorReason.ERROR_REASON_UPDATE_MASK_INVALID,
              "update_mask.paths[" + i + "]",
              "\"" + path + "\" " + why,
              Map.of());
        }
        set(resource, wanted, List.of(path.split("\\.")), name + "." + path);
      }
    }
  }

  private static FieldBehavior behavior(FieldDescriptor field) {
    return field.getOptions().getExtension(FieldBehaviorOuterClass.fieldBehavior);
  }

  private static boolean isImmutable(FieldDescriptor field) {
    return behavior(field) == FieldBehavior.FIELD_BEHAVIOR_IMMUTABLE;
  }

  /** Says whether an update can change a field. An etag is what the update is held to. */
  private static boolean isChangeable(FieldDescriptor field) {
    return behavior(field) == FieldBehavior.FIELD_BEHAVIOR_UNSPECIFIED
        && !field.getName().equals("etag");
  }

  private static boolean isGroup(FieldDescriptor field) {
    return field.getJavaType() == FieldDescriptor.JavaType.MESSAGE
        && GROUPS.contains(field.getMessageType());
  }

  private static Fault immutable(String place) {
    return Fault.of(
        ErrorReason.ERROR_REASON_FIELD_IMMUTABLE,
        place,
        "can't be changed after creation",
        Map.of());
  }

  /** Fails where another value is set than that of what can't change. */
  private static void refuseImmutable(MessageOrBuilder into, Message wanted, String at) {
    wanted
        .getAllFields()
        .forEach(
            (field, value) -> {
              String below = at + "." + field.getName();
              if (isGroup(field)) {
                refuseImmutable((Message) into.getField(field), (Message) value, below);
              } else if (isImmutable(field) && !value.equals(into.getField(field))) {
                throw immutable(below);
              }
            });
  }

  private static void merge(Message.Builder into, Message wanted) {
    wanted
        .getAllFields()
        .forEach(
            (field, value) -> {
              if (isGroup(field)) {
                merge(into.getFieldBuilder(field), (Message) value);
              } else if (isChangeable(field)) {
                into.setField(field, value);
              }
            });
  }

  private static void replace(Message.Builder into, Message wanted) {
    for (FieldDescriptor field : into.getDescriptorForType().getFields()) {
      if (isGroup(field)) {
        replace(into.getFieldBuilder(field), (Message) wanted.getField(field));
      } else if (isChangeable(field)) {
        assign(into, wanted, field);
      }
    }
  }

  /** Sets a field to what it is in {@code wanted}, also where that is nothing. */
  private static void assign(Message.Builder into, Message wanted, FieldDescriptor field) {
    into.clearField(field);
    if (wanted.getAllFields().containsKey(field)) {
      into.setField(field, wanted.getField(field));
    }
  }

  /** Returns why a path names nothing that an update may name; empty if it does. */
  private static String unfit(Descriptor message, String path) {
    if (path.equals(EVERYTHING)) {
      return "must stand alone";
    }
    int dot = path.indexOf('.');
    FieldDescriptor field = message.findFieldByName(dot < 0 ? path : path.substring(0, dot));
    if (field != null && dot >= 0 && isGroup(field)) {
      return unfit(field.getMessageType(), path.substring(dot + 1));
    }
    if (field == null || dot >= 0) {
      return "is not a field that can be named";
    }
    return isChangeable(field) || isImmutable(field) ? "" : "is set by the server";
  }

  private static void set(Message.Builder into, Message wanted, List<String> path, String place) {
    FieldDescriptor field = into.getDescriptorForType().findFieldByName(path.get(0));
    if (path.size() > 1) {
      Message below = (Message) wanted.getField(field);
      set(into.getFieldBuilder(field), below, path.subList(1, path.size()), place);
    } else if (isGroup(field)) {
      replace(into.getFieldBuilder(field), (Message) wanted.getField(field));
    } else if (isChangeable(field)) {
      assign(into, wanted, field);
    } else if (!asked(wanted, field).equals(into.getField(field))) {
      throw immutable(place);
    }
  }

  /** Returns the value that is asked for: of an enum, 0 stands for its first value. */
  private static Object asked(Message wanted, FieldDescriptor field) {
    Object value = wanted.getField(field);
    return value instanceof EnumValueDescriptor number && number.getNumber() == 0
        ? field.getEnumType().getValues().get(1)
        : value;
  }
}
