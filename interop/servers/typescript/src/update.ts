// Changes of a resource, after AIP-134.
import { type DescField, type DescMessage, getOption, type MessageShape } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { FieldBehavior, field_behavior as fieldBehavior } from "@example/tidings/options/v1";
import { ErrorReason } from "@example/tidings/v1";
import { aboutField, type Fault } from "./faults.js";

const everything = "*";
/** Messages whose fields are settings of their own, rather than one value together. */
const groups = ["tidings.options.v1.TopicSettings", "tidings.options.v1.Retention"];

type Group = DescField & { fieldKind: "message" };

/**
 * Changes what the paths name to what it is in wanted. Without paths, what is set there is
 * merged. name is the field of the request that holds the resource.
 */
export function update<Desc extends DescMessage>(
  schema: Desc,
  resource: MessageShape<Desc>,
  wanted: MessageShape<Desc>,
  paths: string[],
  name: string,
): void {
  const into = reflect(schema, resource);
  const from = reflect(schema, wanted);
  refuseImmutable(into, from, name);
  if (paths.length === 0) {
    merge(into, from);
    return;
  }
  if (paths.length === 1 && paths[0] === everything) {
    replace(into, from);
    return;
  }
  paths.forEach((path, i) => {
    const names = path.split(".");
    const why = path === everything ? "must stand alone" : unfit(schema, names);
    if (why !== "") {
      const place = `update_mask.paths[${i}]`;
      throw aboutField(ErrorReason.UPDATE_MASK_INVALID, place, `"${path}" ${why}`);
    }
    setPath(into, from, names, `${name}.${path}`);
  });
}

function isGroup(field: DescField | undefined): field is Group {
  return field?.fieldKind === "message" && groups.includes(field.message.typeName);
}

/** Whether an update can change a field. An etag is what the update is held to. */
function changeable(field: DescField): boolean {
  const behavior = getOption(field, fieldBehavior);
  return behavior === FieldBehavior.UNSPECIFIED && field.name !== "etag";
}

function isImmutable(field: DescField): boolean {
  return getOption(field, fieldBehavior) === FieldBehavior.IMMUTABLE;
}

function immutable(place: string): Fault {
  return aboutField(ErrorReason.FIELD_IMMUTABLE, place, "can't be changed after creation");
}

/** Throws where another value is set than that of what can't change. */
function refuseImmutable(into: ReflectMessage, from: ReflectMessage, at: string): void {
  for (const field of from.fields.filter((each) => from.isSet(each))) {
    const below = `${at}.${field.name}`;
    if (isGroup(field)) {
      refuseImmutable(into.get(field), from.get(field), below);
    } else if (isImmutable(field) && from.get(field) !== into.get(field)) {
      throw immutable(below);
    }
  }
}

function merge(into: ReflectMessage, from: ReflectMessage): void {
  for (const field of from.fields.filter((each) => from.isSet(each) && changeable(each))) {
    if (isGroup(field)) {
      merge(within(into, field), from.get(field));
    } else {
      assign(into, from, field);
    }
  }
}

function replace(into: ReflectMessage, from: ReflectMessage): void {
  for (const field of into.fields.filter(changeable)) {
    if (isGroup(field)) {
      replace(within(into, field), from.get(field));
    } else {
      assign(into, from, field);
    }
  }
}

/** The message of a field, which is set then. */
function within(message: ReflectMessage, field: Group): ReflectMessage {
  if (!message.isSet(field)) {
    message.set(field, reflect(field.message));
  }
  return message.get(field);
}

/** Sets a field to what it is in from, also where that is nothing. */
function assign(into: ReflectMessage, from: ReflectMessage, field: DescField): void {
  if (from.isSet(field)) {
    into.set(field, from.get(field));
  } else {
    into.clear(field);
  }
}

/** Why a path names nothing that an update may name, or nothing. */
function unfit(schema: DescMessage, path: string[]): string {
  const [name, ...rest] = path;
  const field = schema.fields.find((each) => each.name === name);
  if (rest.length > 0 && isGroup(field)) {
    return unfit(field.message, rest);
  }
  if (!field || rest.length > 0) {
    return "is not a field that can be named";
  }
  return changeable(field) || isImmutable(field) ? "" : "is set by the server";
}

function setPath(into: ReflectMessage, from: ReflectMessage, path: string[], place: string): void {
  const [name, ...rest] = path;
  const field = into.fields.find((each) => each.name === name);
  if (!field) {
    return;
  }
  if (isGroup(field)) {
    if (rest.length > 0) {
      setPath(within(into, field), from.get(field), rest, place);
    } else {
      replace(within(into, field), from.get(field));
    }
  } else if (changeable(field)) {
    assign(into, from, field);
  } else if (asked(from, field) !== into.get(field)) {
    throw immutable(place);
  }
}

/** The value that a field that can't change is asked to have: of an enum, 0 stands for its first. */
function asked(from: ReflectMessage, field: DescField): unknown {
  const value = from.get(field);
  return field.fieldKind === "enum" && value === 0 ? field.enum.values[1]?.number : value;
}
