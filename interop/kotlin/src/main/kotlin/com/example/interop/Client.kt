package com.example.interop

import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials
import kotlinx.coroutines.runBlocking
import java.io.PrintStream
import kotlin.io.path.Path
import kotlin.system.exitProcess

/** The client in Kotlin, with grpc-kotlin. README.md in the directory above says what it does. */
fun main() {
    val address = System.getenv("TIDINGS_GRPC")
    val channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build()
    val ok =
        try {
            run(
                Scenario(channel, address, System.getenv("TIDINGS_TOPIC")),
                Golden(Path(System.getenv("TIDINGS_GOLDEN")), Path(System.getenv("TIDINGS_OUT"))),
            )
        } finally {
            channel.shutdownNow()
        }
    exitProcess(if (ok) 0 else 1)
}

/** Does every step and returns whether none failed. */
private fun run(
    scenario: Scenario,
    golden: Golden,
): Boolean {
    val steps =
        mapOf<String, suspend () -> Unit>(
            "topic" to scenario::createTopic,
            "publish" to scenario::publish,
            "refused" to scenario::publishInvalid,
            "read" to scenario::read,
            "tail" to scenario::tail,
            "consume" to scenario::consume,
            "deadline" to scenario::exceedDeadline,
            "cancel" to scenario::cancel,
            "golden" to suspend { golden.copy() },
            "golden-json" to suspend { golden.copyJson() },
        )
    val out = PrintStream(System.out, true, Charsets.UTF_8)
    var ok = true
    for ((name, step) in steps) {
        try {
            runBlocking { step() }
            out.println("$name ok")
        } catch (e: Exception) {
            e.printStackTrace()
            out.println("$name fail: ${e.toString().replace('\n', ' ')}")
            ok = false
        }
    }
    return ok
}
