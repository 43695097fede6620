(ns interop.example
  "All that a publisher in Clojure has to do."
  (:import (com.example.tidings.v1 Event PublishRequest PublisherServiceGrpc)
           (com.google.protobuf Any Message)
           (io.grpc Grpc InsecureChannelCredentials)
           (java.util.concurrent TimeUnit)))

(defn publish [^String address ^String topic ^String id ^Message value]
  ;; docs:begin
  (let [channel (.build (Grpc/newChannelBuilder address (InsecureChannelCredentials/create)))
        event (-> (Event/newBuilder) (.setId id) (.setSource "/interop") (.setData (Any/pack value)) .build)
        request (-> (PublishRequest/newBuilder) (.setTopic topic) (.addEvents event) .build)]
    (try
      (-> (PublisherServiceGrpc/newBlockingStub channel)
          (.withDeadlineAfter 10 TimeUnit/SECONDS)
          (.publish request))
      (finally (.shutdown channel))))
  ;; docs:end
  nil)
