(ns interop.scenario
  "The steps that call the server. Each takes the run: the :channel to the server,
  its :address, and the :topic to work with."
  (:require [interop.example :as example]
            [interop.values :as values])
  (:import (com.example.tidings.conformance.v1 EveryKind)
           (com.example.tidings.options.v1 TopicSettings)
           (com.example.tidings.v1 Ack ConsumeOpen ConsumeRequest ConsumerServiceGrpc
                                   CreateSubscriptionRequest CreateTopicRequest Event GetTopicRequest
                                   Nack NackKind PublishRequest PublisherServiceGrpc
                                   ReadRequest ReaderServiceGrpc RetryPolicy
                                   Settlement SettlementBatch SettlementStatus StartBoundary
                                   StartPosition StopPosition Subscription SubscriptionServiceGrpc
                                   Topic TopicServiceGrpc)
           (com.google.protobuf Any)
           (com.google.protobuf.util Durations)
           (com.google.rpc BadRequest ErrorInfo)
           (io.grpc Status$Code StatusException)
           (io.grpc.protobuf StatusProto)
           (java.util.concurrent TimeUnit)))

;; The calls are found by reflection: the stubs have a class for each service.

(def ^:private source "/interop")
(def ^:private description "interop")

(def ^:private tailed
  "The id of the event that is published while the topic is read."
  "tailed")

(defn- patient
  "How long a call may take."
  [stub]
  (.withDeadlineAfter stub 10 TimeUnit/SECONDS))

(defn- check [holds message]
  (when-not holds
    (throw (ex-info message {}))))

(defn- refusal
  "The code of the error that a call ends with, and the reasons and the fields in
  its details. Fails if there is none."
  [call]
  (let [error (try (call) nil (catch StatusException e e))
        _ (check error "expected an error, got OK")
        details (.getDetailsList (StatusProto/fromThrowable error))
        of-type (fn [type] (map #(.unpack % type) (filter #(.is % type) details)))]
    {:code (.getCode (.getStatus error))
     :reasons (mapv #(.getReason %) (of-type ErrorInfo))
     :fields (mapv #(.getField %) (mapcat #(.getFieldViolationsList %) (of-type BadRequest)))
     :text (str error)}))

(defn- check-refusal [call code reason field]
  (let [{:keys [text] :as got} (refusal call)]
    (check (and (= code (:code got))
                (or (nil? reason) (some #{reason} (:reasons got)))
                (or (nil? field) (some #{field} (:fields got))))
           (format "expected %s %s %s, got %s" code reason field (dissoc got :text) text))))

(defn- event [id value]
  (-> (Event/newBuilder) (.setId id) (.setSource source) (.setData (Any/pack value)) .build))

(defn- check-event [event id want]
  (let [got (.unpack (.getData event) EveryKind)]
    (check (and (= id (.getId event)) (= want got))
           (format "the event %s holds %s, want %s with %s" (.getId event) got id want))))

(defn- start [boundary]
  (-> (StartPosition/newBuilder) (.setBoundary boundary) .build))

(defn- from-now
  "Asks for what is stored from now on, without a bound."
  [topic]
  (-> (ReadRequest/newBuilder)
      (.setTopic topic)
      (.setStart (start StartBoundary/START_BOUNDARY_NEW))
      .build))

(defn- frames
  "The frames of a call, as they come, up to its end."
  [call]
  (take-while some? (repeatedly #(.read call))))

(defn create-topic [{:keys [channel topic]}]
  (let [topics (patient (TopicServiceGrpc/newBlockingV2Stub channel))
        request (-> (CreateTopicRequest/newBuilder)
                    (.setTopic (-> (Topic/newBuilder) (.setName topic) (.setSettings (-> (TopicSettings/newBuilder) (.setDescription description) .build)) .build))
                    .build)]
    (.createTopic topics request)
    (let [created (.getTopic (.getTopic topics (-> (GetTopicRequest/newBuilder) (.setName topic) .build)))]
      (check (= description (.getDescription (.getSettings created))) (str "the topic is " created)))
    (check-refusal #(.createTopic topics request) Status$Code/ALREADY_EXISTS "TOPIC_ALREADY_EXISTS" nil)))

(defn publish [{:keys [channel topic]}]
  (let [publisher (patient (PublisherServiceGrpc/newBlockingV2Stub channel))
        events (mapv #(event (.getName %) %) (values/all))
        request (-> (PublishRequest/newBuilder) (.setTopic topic) (.addAllEvents events) .build)
        receipts #(mapv (fn [receipt] [(.getSequence receipt) (.getDuplicate receipt)])
                        (.getReceiptsList (.publish publisher request)))
        published (receipts)
        again (receipts)
        sequences (map first published)]
    (check (= (count events) (count published)) (str (count published) " receipts"))
    (check (and (apply < sequences) (not-any? second published)) (str "the receipts " published))
    (check (= again (map #(vector % true) sequences)) (str "the receipts, when repeated, " again))))

(defn publish-invalid [{:keys [channel topic]}]
  (let [value (-> (values/full) .toBuilder (.setEmail "not-an-address") .build)
        request (-> (PublishRequest/newBuilder) (.setTopic topic) (.addEvents (event "refused" value)) .build)]
    (check-refusal #(.publish (patient (PublisherServiceGrpc/newBlockingV2Stub channel)) request)
                   Status$Code/INVALID_ARGUMENT "EVENT_INVALID" "events[0].data.email")))

(defn read-topic [{:keys [channel topic]}]
  (let [request (-> (ReadRequest/newBuilder)
                    (.setTopic topic)
                    (.setStart (start StartBoundary/START_BOUNDARY_EARLIEST))
                    (.setStop (-> (StopPosition/newBuilder) (.setCaughtUp true) .build))
                    .build)
        call (.read (patient (ReaderServiceGrpc/newBlockingV2Stub channel)) request)
        events (into [] (mapcat #(.getEventsList (.getEvents %))) (frames call))]
    (check (= (count (values/all)) (count events)) (str (count events) " events"))
    (doseq [[event value] (map vector events (values/all))]
      (check-event (.getEvent event) (.getName value) value))))

(defn tail [{:keys [channel address topic]}]
  (let [call (.read (patient (ReaderServiceGrpc/newBlockingV2Stub channel)) (from-now topic))]
    (try
      (loop [frame (.read call)]
        (check frame "the server ended the call")
        (when (.hasCaughtUp frame)
          (example/publish address topic tailed (values/full)))
        (if (.hasEvents frame)
          (check-event (.getEvent (.getEvents (.getEvents frame) 0)) tailed (values/full))
          (recur (.read call))))
      (finally (.cancel call "the event has come" nil)))))

(defn- settle
  "Asks for full again where it comes first, and acknowledges everything else.
  Gives the settlement and the id that is acknowledged with it, if any."
  [delivery]
  (let [id (.getId (.getEvent (.getRecorded delivery)))
        settlement (-> (Settlement/newBuilder) (.setDeliveryToken (.getDeliveryToken delivery)))]
    (if (and (= "full" id) (= 1 (.getAttempt delivery)))
      [(.build (.setNack settlement (-> (Nack/newBuilder) (.setKind NackKind/NACK_KIND_RETRY) .build))) nil]
      (do
        (check (= (if (= "full" id) 2 1) (.getAttempt delivery)) (str "at another attempt: " delivery))
        [(.build (.setAck settlement (Ack/getDefaultInstance))) id]))))

(defn- subscribe [{:keys [channel topic]}]
  (let [retry-policy (-> (RetryPolicy/newBuilder)
                         (.setMinBackoff (Durations/fromMillis 100))
                         (.setMaxBackoff (Durations/fromSeconds 1))
                         .build)
        subscription (-> (Subscription/newBuilder)
                         (.setName topic)
                         (.setTopic topic)
                         (.setRetryPolicy retry-policy)
                         .build)]
    (.createSubscription (patient (SubscriptionServiceGrpc/newBlockingV2Stub channel))
                         (-> (CreateSubscriptionRequest/newBuilder)
                             (.setSubscription subscription)
                             (.setStart (start StartBoundary/START_BOUNDARY_EARLIEST))
                             .build))))

(defn consume [{:keys [channel topic] :as run}]
  (subscribe run)
  (let [expected (conj (mapv #(.getName %) (values/all)) tailed)
        call (.consume (patient (ConsumerServiceGrpc/newBlockingV2Stub channel)))
        open (-> (ConsumeOpen/newBuilder) (.setSubscription topic) .build)]
    (try
      (.write call (-> (ConsumeRequest/newBuilder) (.setOpen open) .build))
      ;; Each event is settled once, and full twice.
      (loop [awaited (inc (count expected))
             acknowledged []]
        (if (pos? awaited)
          (let [frame (.read call)
                _ (check frame "the server ended the call")
                results (.getResultsList (.getSettled frame))
                settlements (mapv settle (.getDeliveriesList (.getDeliveries frame)))]
            (check (every? #(= SettlementStatus/SETTLEMENT_STATUS_APPLIED (.getStatus %)) results)
                   (str "the settlements are " results))
            (when (seq settlements)
              (let [batch (-> (SettlementBatch/newBuilder) (.addAllSettlements (map first settlements)) .build)]
                (.write call (-> (ConsumeRequest/newBuilder) (.setSettle batch) .build))))
            (recur (- awaited (count results))
                   (into acknowledged (keep second) settlements)))
          (check (= (sort expected) (sort acknowledged)) (str "acknowledged " acknowledged))))
      (finally (.cancel call "all is settled" nil)))))

(defn exceed-deadline [{:keys [channel topic]}]
  (let [reader (.withDeadlineAfter (ReaderServiceGrpc/newBlockingV2Stub channel) 300 TimeUnit/MILLISECONDS)]
    (check-refusal #(run! identity (frames (.read reader (from-now topic))))
                   Status$Code/DEADLINE_EXCEEDED nil nil)))

(defn cancel [{:keys [channel topic]}]
  (let [call (.read (patient (ReaderServiceGrpc/newBlockingV2Stub channel)) (from-now topic))]
    (check-refusal #(doseq [frame (frames call)]
                      (when (.hasCaughtUp frame)
                        (.cancel call "caught up" nil)))
                   Status$Code/CANCELLED nil nil)))
