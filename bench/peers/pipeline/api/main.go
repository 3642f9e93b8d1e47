// The API of the hand-made pipeline: rows come in by HTTP as NDJSON and go out to RabbitMQ.
//
// POST /rows/bench or /rows/orders is answered with 202 when RabbitMQ has confirmed every row of the body.
// RABBIT_URL and LISTEN tell where.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/goccy/go-json"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	queue       = "pipeline" // declared by the consumer
	messageRows = 1000       // at most
)

type api struct {
	channel *amqp.Channel
}

func main() {
	connection, err := amqp.Dial(os.Getenv("RABBIT_URL"))
	if err != nil {
		log.Fatal("cannot connect to RabbitMQ: ", err)
	}
	channel, err := connection.Channel()
	if err != nil {
		log.Fatal("cannot open a channel: ", err)
	}
	if err := channel.Confirm(false); err != nil {
		log.Fatal("cannot use publisher confirms: ", err)
	}
	go func() { log.Fatal("RabbitMQ went away: ", <-channel.NotifyClose(make(chan *amqp.Error, 1))) }()

	http.HandleFunc("POST /rows/{entity}", (&api{channel}).rows)
	http.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), nil))
}

func (a *api) rows(out http.ResponseWriter, request *http.Request) {
	body, err := readAll(request)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	messages, err := split(body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	if err := a.publish(request.Context(), request.PathValue("entity"), messages); err != nil {
		http.Error(out, err.Error(), http.StatusServiceUnavailable)
		return
	}
	out.WriteHeader(http.StatusAccepted)
}

// readAll reads the body into a buffer of its size at once, when that is known.
func readAll(request *http.Request) ([]byte, error) {
	if request.ContentLength <= 0 {
		return io.ReadAll(request.Body)
	}
	body := make([]byte, request.ContentLength)
	_, err := io.ReadFull(request.Body, body)
	return body, err
}

// split cuts NDJSON into messages of at most messageRows rows, and refuses what is not JSON: the
// consumer could do nothing with it.
func split(body []byte) ([][]byte, error) {
	var messages [][]byte
	rows, begin := 0, 0
	for at := 0; at < len(body); {
		end := len(body)
		if length := bytes.IndexByte(body[at:], '\n'); length >= 0 {
			end = at + length + 1
		}
		if !json.Valid(body[at:end]) {
			return nil, fmt.Errorf("row %d is not JSON", len(messages)*messageRows+rows+1)
		}
		if rows++; rows == messageRows {
			messages, rows, begin = append(messages, body[begin:end]), 0, end
		}
		at = end
	}
	if begin < len(body) {
		messages = append(messages, body[begin:])
	}
	return messages, nil
}

// publish sends all messages, then waits for the confirms of all.
func (a *api) publish(ctx context.Context, entity string, messages [][]byte) error {
	confirms := make([]*amqp.DeferredConfirmation, 0, len(messages))
	for _, message := range messages {
		confirm, err := a.channel.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, ContentType: "application/x-ndjson",
				Type: entity, Body: message})
		if err != nil {
			return err
		}
		confirms = append(confirms, confirm)
	}
	for _, confirm := range confirms {
		confirmed, err := confirm.WaitContext(ctx)
		if err != nil {
			return err
		}
		if !confirmed {
			return fmt.Errorf("RabbitMQ did not take a message")
		}
	}
	return nil
}
