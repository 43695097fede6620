package com.example.interop

import com.example.tidings.conformance.v1.Part
import com.google.protobuf.Message
import com.google.protobuf.StringValue
import com.google.protobuf.util.JsonFormat
import groovy.transform.CompileStatic
import groovy.transform.TupleConstructor

/** Writes the golden vectors in one directory again to another, in either form. */
@CompileStatic
@TupleConstructor
class Golden {
    /** The types that vectors hold in an Any. */
    private static final JsonFormat.TypeRegistry TYPES =
        JsonFormat.TypeRegistry.newBuilder().add(StringValue.descriptor).add(Part.descriptor).build()

    File from
    File to

    /** Writes each vector as it is. */
    void copy() {
        eachVector('.binpb') { String name, File file, Message.Builder message ->
            new File(to, "${name}.binpb").bytes = message.mergeFrom(file.bytes).build().toByteArray()
        }
    }

    /** Turns each vector into the other form. */
    void copyJson() {
        def printer = JsonFormat.printer().usingTypeRegistry(TYPES)
        eachVector('.binpb') { String name, File file, Message.Builder message ->
            new File(to, "${name}.json").setText(printer.print(message.mergeFrom(file.bytes)), 'UTF-8')
        }
        def parser = JsonFormat.parser().usingTypeRegistry(TYPES)
        eachVector('.json') { String name, File file, Message.Builder message ->
            parser.merge(file.getText('UTF-8'), message)
            new File(to, "${name}.json.binpb").bytes = message.build().toByteArray()
        }
    }

    /** Calls {@code convert} with each vector's name, LABEL-NAME, its file, and an empty message of its type. */
    private void eachVector(String extension, Closure convert) {
        def files = from.listFiles().findAll { it.name.endsWith(extension) }
        if (!files) {
            throw new IllegalStateException("there are no vectors in $from")
        }
        files.each { file ->
            def name = file.name - extension
            // The generated class of a message is named like the message, after a prefix.
            def type = Class.forName('com.example.' + name.substring(name.indexOf('-') + 1))
            try {
                convert(name, file, type.getMethod('newBuilder').invoke(null) as Message.Builder)
            } catch (IOException e) {
                throw new IllegalStateException("$file: $e.message", e)
            }
        }
    }
}
