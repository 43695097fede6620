package com.example.interop;

import com.example.tidings.conformance.v1.Part;
import com.google.protobuf.Message;
import com.google.protobuf.StringValue;
import com.google.protobuf.util.JsonFormat;
import com.google.protobuf.util.JsonFormat.TypeRegistry;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Writes the golden vectors again, in either form. */
final class Golden {
  /** The types that vectors and events hold in an Any: all of a file come with one of them. */
  static final TypeRegistry TYPES =
      TypeRegistry.newBuilder().add(StringValue.getDescriptor()).add(Part.getDescriptor()).build();

  private final Path in;
  private final Path out;

  Golden(Path in, Path out) {
    this.in = in;
    this.out = out;
  }

  /** Writes each vector as it is. */
  void copy() throws Exception {
    forEach(".binpb", (name, file, message) -> writeBinary(name + ".binpb", read(file, message)));
  }

  /** Turns each vector into the other form. */
  void copyJson() throws Exception {
    JsonFormat.Printer printer = JsonFormat.printer().usingTypeRegistry(TYPES);
    forEach(
        ".binpb",
        (name, file, message) ->
            Files.writeString(out.resolve(name + ".json"), printer.print(read(file, message))));
    JsonFormat.Parser parser = JsonFormat.parser().usingTypeRegistry(TYPES);
    forEach(
        ".json",
        (name, file, message) -> {
          parser.merge(Files.readString(file), message);
          writeBinary(name + ".json.binpb", message.build());
        });
  }

  private interface Conversion {
    void apply(String name, Path file, Message.Builder message) throws Exception;
  }

  /** Gives each vector, its name LABEL-NAME, and an empty message of its type to a conversion. */
  private void forEach(String extension, Conversion conversion) throws Exception {
    int count = 0;
    try (DirectoryStream<Path> files = Files.newDirectoryStream(in, "*" + extension)) {
      for (Path file : files) {
        count++;
        String fileName = file.getFileName().toString();
        String name = fileName.substring(0, fileName.length() - extension.length());
        try {
          conversion.apply(name, file, newBuilder(name.substring(name.indexOf('-') + 1)));
        } catch (IOException | ReflectiveOperationException e) {
          throw new IOException(file + ": " + e.getMessage(), e);
        }
      }
    }
    if (count == 0) {
      throw new IOException("there are no vectors in " + in);
    }
  }

  /** The generated class of a message is named like the message, after a prefix. */
  private static Message.Builder newBuilder(String name) throws ReflectiveOperationException {
    return (Message.Builder)
        Class.forName("com.example." + name).getMethod("newBuilder").invoke(null);
  }

  private static Message read(Path file, Message.Builder message) throws IOException {
    return message.mergeFrom(Files.readAllBytes(file)).build();
  }

  private void writeBinary(String fileName, Message message) throws IOException {
    Files.write(out.resolve(fileName), message.toByteArray());
  }
}
