(ns interop.client
  "The client in Clojure, with grpc-java. README.md in the directory above says what
  it does."
  (:require [clojure.string :as str]
            [interop.golden :as golden]
            [interop.scenario :as scenario])
  (:import (io.grpc Grpc InsecureChannelCredentials)))

(set! *warn-on-reflection* true)

(defn- try-step
  "Does a step, says what came of it, and returns whether it is ok."
  [[step-name step]]
  (try
    (step)
    (println step-name "ok")
    true
    (catch Exception e
      (.printStackTrace e)
      (println step-name (str "fail: " (str/replace (str e) #"\R" " ")))
      false)))

(defn -main []
  (let [address (System/getenv "TIDINGS_GRPC")
        channel (.build (Grpc/newChannelBuilder address (InsecureChannelCredentials/create)))
        run {:channel channel :address address :topic (System/getenv "TIDINGS_TOPIC")}
        in (System/getenv "TIDINGS_GOLDEN")
        out (System/getenv "TIDINGS_OUT")
        steps [["topic" #(scenario/create-topic run)]
               ["publish" #(scenario/publish run)]
               ["refused" #(scenario/publish-invalid run)]
               ["read" #(scenario/read-topic run)]
               ["tail" #(scenario/tail run)]
               ["consume" #(scenario/consume run)]
               ["deadline" #(scenario/exceed-deadline run)]
               ["cancel" #(scenario/cancel run)]
               ["golden" #(golden/copy in out)]
               ["golden-json" #(golden/copy-json in out)]]
        ok (try
             ;; Every step is done, whatever came of those before.
             (every? true? (mapv try-step steps))
             (finally (.shutdownNow channel)))]
    (shutdown-agents)
    (System/exit (if ok 0 1))))
