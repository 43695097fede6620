package com.example.interop

import io.grpc.{Grpc, InsecureChannelCredentials}
import java.io.PrintStream
import java.nio.charset.StandardCharsets
import java.nio.file.Path
import scala.util.control.NonFatal

/** The client in Scala, with ScalaPB. README.md in the directory above says what it does. */
object Client:
  def main(args: Array[String]): Unit =
    val address = sys.env("TIDINGS_GRPC")
    val channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build()
    val ok =
      try
        run(
          Scenario(channel, address, sys.env("TIDINGS_TOPIC")),
          Golden(Path.of(sys.env("TIDINGS_GOLDEN")), Path.of(sys.env("TIDINGS_OUT")))
        )
      finally channel.shutdownNow()
    sys.exit(if ok then 0 else 1)

  /** Does every step and returns whether none failed. */
  private def run(scenario: Scenario, golden: Golden): Boolean =
    val steps = Seq[(String, () => Unit)](
      "topic" -> scenario.createTopic,
      "publish" -> scenario.publish,
      "refused" -> scenario.publishInvalid,
      "read" -> scenario.read,
      "tail" -> scenario.tail,
      "consume" -> scenario.consume,
      "deadline" -> scenario.exceedDeadline,
      "cancel" -> scenario.cancel,
      "golden" -> golden.copy,
      "golden-json" -> golden.copyJson
    )
    val out = PrintStream(System.out, true, StandardCharsets.UTF_8)
    // No step is left out where one failed.
    steps
      .map: (name, step) =>
        try
          step()
          out.println(s"$name ok")
          true
        catch
          case NonFatal(e) =>
            e.printStackTrace()
            out.println(s"$name fail: ${e.toString.replaceAll("\\R", " ")}")
            false
      .forall(identity)
