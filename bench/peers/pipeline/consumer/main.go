// The consumer of the hand-made pipeline: a message of RabbitMQ becomes one unordered bulk of upserts
// in MongoDB, and is acknowledged when a majority has it in its journal.
//
// RABBIT_URL, MONGO_URL and MONGO_DATABASE tell where.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/goccy/go-json"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

const (
	queue    = "pipeline"
	workers  = 2
	prefetch = 4 // of each worker, so that none waits for RabbitMQ
)

func main() {
	connection, err := amqp.Dial(os.Getenv("RABBIT_URL"))
	if err != nil {
		log.Fatal("cannot connect to RabbitMQ: ", err)
	}
	// A bulk that is sent once more changes nothing, so the server need not keep books for retries.
	client, err := mongo.Connect(options.Client().ApplyURI(os.Getenv("MONGO_URL")).
		SetRetryWrites(false).SetWriteConcern(durable()))
	if err != nil {
		log.Fatal("cannot connect to MongoDB: ", err)
	}
	database := client.Database(os.Getenv("MONGO_DATABASE"))
	failed := make(chan error)
	for i := 0; i < workers; i++ {
		deliveries, err := consume(connection)
		if err != nil {
			log.Fatal("cannot consume: ", err)
		}
		go func() { failed <- work(database, deliveries) }()
	}
	log.Print("ready")
	log.Fatal("a worker ended: ", <-failed)
}

func durable() *writeconcern.WriteConcern {
	journaled := true
	return &writeconcern.WriteConcern{W: "majority", Journal: &journaled}
}

// consume opens a channel of its own for one worker.
func consume(connection *amqp.Connection) (<-chan amqp.Delivery, error) {
	channel, err := connection.Channel()
	if err != nil {
		return nil, err
	}
	quorum := amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}
	if _, err := channel.QueueDeclare(queue, true, false, false, false, quorum); err != nil {
		return nil, err
	}
	if err := channel.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	return channel.Consume(queue, "", false, false, false, false, nil)
}

// work ends at the first message that cannot be stored; RabbitMQ then gives it to the next consumer.
func work(database *mongo.Database, deliveries <-chan amqp.Delivery) error {
	for delivery := range deliveries {
		collection, models, err := read(delivery.Type, delivery.Body)
		if err != nil {
			return err
		}
		_, err = database.Collection(collection).BulkWrite(context.Background(), models,
			options.BulkWrite().SetOrdered(false))
		if err != nil {
			return err
		}
		if err := delivery.Ack(false); err != nil {
			return err
		}
	}
	return fmt.Errorf("RabbitMQ went away")
}

// read gives the collection that rows of an entity go to, and their upserts.
func read(entity string, body []byte) (string, []mongo.WriteModel, error) {
	switch entity {
	case "bench":
		models, err := upserts[benchRow](body)
		return "rows", models, err
	case "orders":
		models, err := upserts[order](body)
		return "orders", models, err
	}
	return "", nil, fmt.Errorf("there is no entity '%s'", entity)
}

type row interface {
	document() (id string, document bson.D, err error)
}

func upserts[R row](body []byte) ([]mongo.WriteModel, error) {
	models := make([]mongo.WriteModel, 0, bytes.Count(body, []byte{'\n'})+1)
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, []byte{'\n'})
		body = rest
		var one R
		if err := json.Unmarshal(line, &one); err != nil {
			return nil, err
		}
		id, document, err := one.document()
		if err != nil {
			return nil, fmt.Errorf("row %s: %w", id, err)
		}
		models = append(models, mongo.NewReplaceOneModel().SetUpsert(true).
			SetFilter(bson.D{{Key: "_id", Value: id}}).SetReplacement(document))
	}
	return models, nil
}
