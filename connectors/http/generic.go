package http

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// deepest is how deep an answer may be nested where all of it is decoded.
const deepest = 100

// decodeAll decodes a whole JSON text into plain Go: map[string]any, []any,
// string, int64, float64, bool, nil. A whole number that fits is an int64.
func decodeAll(text []byte) (any, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(text))
	v, err := decodeValue(dec, deepest)
	if err != nil {
		return nil, err
	}
	return v, atEnd(dec)
}

func atEnd(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errNotStrict
	}
	return nil
}

func decodeValue(dec *jsontext.Decoder, depth int) (any, error) {
	if depth == 0 {
		return nil, errNotStrict
	}
	switch dec.PeekKind() {
	case '{':
		return decodeObject(dec, depth)
	case '[':
		return decodeList(dec, depth)
	}
	token, err := dec.ReadToken()
	if err != nil {
		return nil, errNotStrict
	}
	switch token.Kind() {
	case '"':
		return token.String(), nil
	case '0':
		return decodeNumber(token.String())
	case 't', 'f':
		return token.Bool(), nil
	}
	return nil, nil
}

func decodeNumber(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errNotStrict
	}
	return f, nil
}

func decodeObject(dec *jsontext.Decoder, depth int) (any, error) {
	if _, err := dec.ReadToken(); err != nil {
		return nil, errNotStrict
	}
	object := map[string]any{}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, errNotStrict
		}
		key := name.String() // before the next read makes it invalid
		if object[key], err = decodeValue(dec, depth-1); err != nil {
			return nil, err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, errNotStrict
	}
	return object, nil
}

func decodeList(dec *jsontext.Decoder, depth int) (any, error) {
	if _, err := dec.ReadToken(); err != nil {
		return nil, errNotStrict
	}
	list := []any{}
	for dec.PeekKind() != ']' {
		v, err := decodeValue(dec, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, errNotStrict
	}
	return list, nil
}
