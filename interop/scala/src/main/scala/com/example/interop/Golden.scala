package com.example.interop

import com.example.tidings.conformance.v1.Part
import com.google.protobuf.wrappers.StringValue
import java.nio.file.{Files, Path}
import scala.jdk.CollectionConverters.*
import scala.util.Using
import scalapb.json4s.{Parser, Printer, TypeRegistry}
import scalapb.{GeneratedMessage, GeneratedMessageCompanion}

/** Writes the golden vectors again, in either form. */
final class Golden(in: Path, out: Path):
  // The types that vectors hold in an Any.
  private val types = TypeRegistry().addMessage[StringValue].addMessage[Part]
  private val printer = Printer().withTypeRegistry(types)
  private val parser = Parser().withTypeRegistry(types)

  /** Writes each vector as it is. */
  def copy(): Unit =
    forEach(".binpb"): (name, file, companion) =>
      writeBinary(s"$name.binpb", companion.parseFrom(Files.readAllBytes(file)))

  /** Turns each vector into the other form. */
  def copyJson(): Unit =
    forEach(".binpb"): (name, file, companion) =>
      val text = printer.print(companion.parseFrom(Files.readAllBytes(file)))
      Files.writeString(out.resolve(s"$name.json"), text)
    forEach(".json"): (name, file, companion) =>
      writeBinary(s"$name.json.binpb", fromJson(Files.readString(file), companion))

  private def fromJson[A <: GeneratedMessage](text: String, companion: GeneratedMessageCompanion[A]): A =
    parser.fromJsonString(text)(using companion)

  private type Companion = GeneratedMessageCompanion[? <: GeneratedMessage]

  /** Calls `convert` with each vector's name, LABEL-NAME, its file, and the companion of its type. */
  private def forEach(extension: String)(convert: (String, Path, Companion) => Unit): Unit =
    val files = Using.resource(Files.newDirectoryStream(in, s"*$extension"))(_.asScala.toSeq)
    if files.isEmpty then throw IllegalStateException(s"there are no vectors in $in")
    for file <- files do
      val name = file.getFileName.toString.stripSuffix(extension)
      try convert(name, file, companionOf(name.drop(name.indexOf('-') + 1)))
      catch case e: Exception => throw IllegalStateException(s"$file: $e", e)

  /** The generated class of a message is named like the message, after a prefix. */
  private def companionOf(name: String): Companion =
    Class.forName(s"com.example.$name$$").getField("MODULE$").get(null).asInstanceOf[Companion]

  private def writeBinary(fileName: String, message: GeneratedMessage): Unit =
    Files.write(out.resolve(fileName), message.toByteArray)
