// The event types that the server has been given.
import {
  type DescFile,
  type DescMessage,
  getOption,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { nestedTypes, reflect } from "@bufbuild/protobuf/reflect";
import { event as eventOptions } from "@example/tidings/options/v1";

/** A message that can be published. */
export class EventType {
  /** The topic that it declares, or empty. */
  readonly topic: string;
  /** The path of the field that becomes the partition key. */
  readonly key: string[];

  constructor(readonly schema: DescMessage) {
    const { topic, key } = getOption(schema, eventOptions);
    this.topic = topic;
    this.key = key === "" ? [] : key.split(".");
  }

  get name(): string {
    return this.schema.typeName;
  }

  /** The partition key of an event, or an empty one. */
  keyOf(payload: Message): string {
    let message = reflect(this.schema, payload);
    for (const name of this.key) {
      const field = message.fields.find((each) => each.name === name);
      if (!field || !message.isSet(field)) {
        return "";
      }
      switch (field.fieldKind) {
        case "message":
          message = message.get(field);
          break;
        case "enum": {
          const number = message.get(field);
          return field.enum.value[number]?.name ?? String(number);
        }
        case "scalar":
          return field.scalar === ScalarType.BYTES ? "" : String(message.get(field));
        default:
          return "";
      }
    }
    return "";
  }
}

/** Event types by name. */
export class EventTypes {
  readonly #types = new Map<string, EventType>();

  constructor(files: DescFile[]) {
    for (const type of files.flatMap((file) => [...nestedTypes(file)])) {
      if (type.kind === "message") {
        this.#types.set(type.typeName, new EventType(type));
      }
    }
  }

  /** The type of a full name, or of a URL that ends in one. */
  find(name: string): EventType | undefined {
    return this.#types.get(name.slice(name.lastIndexOf("/") + 1));
  }

  /** The types that declare a topic. */
  declaring(topic: string): string[] {
    return [...this.#types.values()].filter((type) => type.topic === topic).map(({ name }) => name);
  }

  /** The topics that types declare. */
  topics(): Set<string> {
    return new Set([...this.#types.values()].map(({ topic }) => topic).filter(Boolean));
  }
}
