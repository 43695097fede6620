package com.example.interop

import com.example.tidings.conformance.v1.Part
import com.google.protobuf.Message
import com.google.protobuf.StringValue
import com.google.protobuf.util.JsonFormat
import java.io.IOException
import java.nio.file.Path
import kotlin.io.path.div
import kotlin.io.path.listDirectoryEntries
import kotlin.io.path.name
import kotlin.io.path.readBytes
import kotlin.io.path.readText
import kotlin.io.path.writeBytes
import kotlin.io.path.writeText

/** Writes the golden vectors in [input] again to [output], in either form. */
class Golden(
    private val input: Path,
    private val output: Path,
) {
    // The types that vectors hold in an Any.
    private val types =
        JsonFormat.TypeRegistry
            .newBuilder()
            .add(listOf(StringValue.getDescriptor(), Part.getDescriptor()))
            .build()

    /** Writes each vector as it is. */
    fun copy() =
        forEach(".binpb") { name, file, message ->
            (output / "$name.binpb").writeBytes(message.mergeFrom(file.readBytes()).build().toByteArray())
        }

    /** Turns each vector into the other form. */
    fun copyJson() {
        val printer = JsonFormat.printer().usingTypeRegistry(types)
        forEach(".binpb") { name, file, message ->
            (output / "$name.json").writeText(printer.print(message.mergeFrom(file.readBytes())))
        }
        val parser = JsonFormat.parser().usingTypeRegistry(types)
        forEach(".json") { name, file, message ->
            parser.merge(file.readText(), message)
            (output / "$name.json.binpb").writeBytes(message.build().toByteArray())
        }
    }

    /** Gives [convert] each vector's name, LABEL-NAME, its file, and an empty message of its type. */
    private fun forEach(
        extension: String,
        convert: (String, Path, Message.Builder) -> Unit,
    ) {
        val files = input.listDirectoryEntries("*$extension")
        check(files.isNotEmpty()) { "there are no vectors in $input" }
        for (file in files) {
            val name = file.name.removeSuffix(extension)
            // The generated class of a message is named like the message, after a prefix.
            val type = Class.forName("com.example." + name.substringAfter('-'))
            try {
                convert(name, file, type.getMethod("newBuilder").invoke(null) as Message.Builder)
            } catch (e: IOException) {
                throw IllegalStateException("$file: ${e.message}", e)
            }
        }
    }
}
