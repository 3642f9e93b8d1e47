package main

import (
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A cell of the export as it was written; empty when there is nothing.
type benchRow struct {
	DataAreaId                 string `json:"dataAreaId"`
	RowKey                     string
	ChangeNumber               string
	OrganizationName           string
	SearchName                 string
	GroupId                    string
	CurrencyCode               string
	StatusCode                 string
	Address                    string
	City                       string
	Email                      string
	Phone                      string
	CorrelationId              string
	ParentId                   string
	Amount                     string
	AmountInAccountingCurrency string
	ExchangeRate               string
	DiscountAmount             string
	Quantity                   string
	LineCount                  string
	SequenceNumber             string
	Weight                     string
	IsApproved                 string
	IsBlocked                  string
	PostingDate                string
	CreatedDateTime            string
	ModifiedDateTime           string
	Comment                    string
	Description                string
	LongText                   string
}

func (r benchRow) document() (string, bson.D, error) {
	id := r.DataAreaId + "|" + r.RowKey
	b := builder{document: make(bson.D, 0, 31)}
	b.add("_id", id)
	b.add("dataAreaId", r.DataAreaId)
	b.add("RowKey", r.RowKey)
	b.integer("ChangeNumber", r.ChangeNumber)
	b.add("OrganizationName", r.OrganizationName)
	b.add("SearchName", r.SearchName)
	b.add("GroupId", r.GroupId)
	b.add("CurrencyCode", r.CurrencyCode)
	b.add("StatusCode", r.StatusCode)
	b.add("Address", r.Address)
	b.add("City", r.City)
	b.add("Email", r.Email)
	b.add("Phone", r.Phone)
	b.add("CorrelationId", r.CorrelationId)
	b.add("ParentId", r.ParentId)
	b.decimal("Amount", r.Amount)
	b.decimal("AmountInAccountingCurrency", r.AmountInAccountingCurrency)
	b.decimal("ExchangeRate", r.ExchangeRate)
	b.decimal("DiscountAmount", r.DiscountAmount)
	b.integer("Quantity", r.Quantity)
	b.integer("LineCount", r.LineCount)
	b.integer("SequenceNumber", r.SequenceNumber)
	b.double("Weight", r.Weight)
	b.yesNo("IsApproved", r.IsApproved)
	b.yesNo("IsBlocked", r.IsBlocked)
	b.date("PostingDate", r.PostingDate)
	b.date("CreatedDateTime", r.CreatedDateTime)
	b.date("ModifiedDateTime", r.ModifiedDateTime)
	b.add("Comment", r.Comment)
	b.add("Description", r.Description)
	b.add("LongText", r.LongText)
	return id, b.document, b.err
}

type order struct {
	OrderID   string `json:"order_id"`
	Customer  string `json:"customer"`
	Amount    string `json:"amount"`
	Currency  string `json:"currency"`
	Lines     int64  `json:"lines"`
	OrderedAt string `json:"ordered_at"`
	Note      string `json:"note"`
}

func (o order) document() (string, bson.D, error) {
	b := builder{document: make(bson.D, 0, 8)}
	b.add("_id", o.OrderID)
	b.add("order_id", o.OrderID)
	b.add("customer", o.Customer)
	b.decimal("amount", o.Amount)
	b.add("currency", o.Currency)
	b.add("lines", o.Lines)
	b.date("ordered_at", o.OrderedAt)
	b.add("note", o.Note)
	return o.OrderID, b.document, b.err
}

// builder makes a document. A typed cell that is empty is left out; err is the first that is wrong.
type builder struct {
	document bson.D
	err      error
}

func (b *builder) add(name string, value any) {
	b.document = append(b.document, bson.E{Key: name, Value: value})
}

func (b *builder) typed(name string, value any, err error) {
	if err != nil && b.err == nil {
		b.err = err
	}
	b.add(name, value)
}

func (b *builder) integer(name, cell string) {
	if cell != "" {
		value, err := strconv.ParseInt(cell, 10, 64)
		b.typed(name, value, err)
	}
}

func (b *builder) decimal(name, cell string) {
	if cell != "" {
		value, err := bson.ParseDecimal128(cell)
		b.typed(name, value, err)
	}
}

func (b *builder) double(name, cell string) {
	if cell != "" {
		value, err := strconv.ParseFloat(cell, 64)
		b.typed(name, value, err)
	}
}

func (b *builder) yesNo(name, cell string) {
	if cell != "" {
		b.add(name, cell == "Yes")
	}
}

// date reads a day, a time in UTC, or one by RFC 3339.
func (b *builder) date(name, cell string) {
	layout := time.RFC3339
	switch {
	case cell == "":
		return
	case len(cell) == len(time.DateOnly):
		layout = time.DateOnly
	case len(cell) == len(time.DateTime):
		layout = time.DateTime
	}
	value, err := time.Parse(layout, cell)
	b.typed(name, bson.NewDateTimeFromTime(value), err)
}
