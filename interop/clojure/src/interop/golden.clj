(ns interop.golden
  "Writes the golden vectors again, in either form."
  (:require [clojure.java.io :as io]
            [clojure.string :as str])
  (:import (com.example.tidings.conformance.v1 Part)
           (com.google.protobuf Message Message$Builder StringValue)
           (com.google.protobuf.util JsonFormat JsonFormat$TypeRegistry)
           (java.io File)
           (java.nio.file Files)))

(set! *warn-on-reflection* true)

;; The types that vectors hold in an Any.
(def ^:private ^JsonFormat$TypeRegistry types
  (-> (JsonFormat$TypeRegistry/newBuilder)
      (.add (StringValue/getDescriptor))
      (.add (Part/getDescriptor))
      .build))

(defn- new-builder
  "The generated class of a message is named like the message, after a prefix."
  ^Message$Builder [type-name]
  (let [^Class generated (Class/forName (str "com.example." type-name))]
    (.invoke (.getMethod generated "newBuilder" (make-array Class 0)) nil (object-array 0))))

(defn- each-vector
  "Calls convert with each vector's name, LABEL-NAME, its file, and an empty
  message of its type."
  [in extension convert]
  (let [files (filter #(str/ends-with? (.getName ^File %) extension) (.listFiles (io/file in)))]
    (when (empty? files)
      (throw (ex-info "there are no vectors" {:in in})))
    (doseq [^File file files
            :let [vector-name (subs (.getName file) 0 (- (count (.getName file)) (count extension)))
                  [_ type-name] (str/split vector-name #"-" 2)]]
      (try
        (convert vector-name file (new-builder type-name))
        (catch Exception e
          (throw (ex-info (str file ": " (ex-message e)) {} e)))))))

(defn- read-binary ^Message [^File file ^Message$Builder builder]
  (.build (.mergeFrom builder (Files/readAllBytes (.toPath file)))))

(defn- write-binary [out file-name ^Message message]
  (io/copy (.toByteArray message) (io/file out file-name)))

(defn copy
  "Writes each vector in the directory in to the directory out as it is."
  [in out]
  (each-vector in ".binpb"
               (fn [vector-name file builder]
                 (write-binary out (str vector-name ".binpb") (read-binary file builder)))))

(defn copy-json
  "Turns each vector in the directory in into the other form, in the directory out."
  [in out]
  (let [printer (.usingTypeRegistry (JsonFormat/printer) types)
        parser (.usingTypeRegistry (JsonFormat/parser) types)]
    (each-vector in ".binpb"
                 (fn [vector-name file builder]
                   (spit (io/file out (str vector-name ".json"))
                         (.print printer (read-binary file builder)))))
    (each-vector in ".json"
                 (fn [vector-name file ^Message$Builder builder]
                   (.merge parser ^String (slurp file) builder)
                   (write-binary out (str vector-name ".json.binpb") (.build builder))))))
