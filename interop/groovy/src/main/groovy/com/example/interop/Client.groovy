package com.example.interop

import groovy.transform.CompileStatic
import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials

/** The client in Groovy, with grpc-java. README.md in the directory above says what it does. */
@CompileStatic
class Client {
    static void main(String[] args) {
        def env = System.getenv()
        def channel = Grpc.newChannelBuilder(env.TIDINGS_GRPC, InsecureChannelCredentials.create()).build()
        def scenario = new Scenario(channel, env.TIDINGS_GRPC, env.TIDINGS_TOPIC)
        def golden = new Golden(new File(env.TIDINGS_GOLDEN), new File(env.TIDINGS_OUT))
        boolean ok
        try {
            ok = run(
                topic: scenario::createTopic,
                publish: scenario::publish,
                refused: scenario::publishInvalid,
                read: scenario::read,
                tail: scenario::tail,
                consume: scenario::consume,
                deadline: scenario::exceedDeadline,
                cancel: scenario::cancel,
                golden: golden::copy,
                'golden-json': golden::copyJson,
            )
        } finally {
            channel.shutdownNow()
        }
        System.exit(ok ? 0 : 1)
    }

    /** Does every step and returns whether none failed. */
    private static boolean run(Map<String, Closure> steps) {
        def out = new PrintStream(System.out, true, 'UTF-8')
        def failed = steps.count { name, step ->
            try {
                step()
                out.println("$name ok")
                false
            } catch (Exception | AssertionError e) {
                e.printStackTrace()
                out.println("$name fail: ${e.toString().replaceAll(/\R/, ' ')}")
                true
            }
        }
        failed == 0
    }
}
