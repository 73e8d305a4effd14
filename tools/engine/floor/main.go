// Floor is the least that a provider can be: it makes the HTTP calls that its inputs name, and nothing else. No checks, no defaults,
// no plans by path, no retries, no look at limits. `make bench` measures the provider against it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const (
	version = "0.0.1"
	// A Thing is created by POST of `body` to `path`, after one GET of `first` a process, and read from the list at `path`.
	pulumiSchema = `{
		"name": "floor",
		"version": "` + version + `",
		"resources": {"floor:index:Thing": {
			"inputProperties": {
				"path": {"type": "string"},
				"key": {"type": "string"},
				"first": {"type": "string"},
				"body": {"$ref": "pulumi.json#/Any"}
			},
			"requiredInputs": ["path", "key", "body"],
			"properties": {"path": {"type": "string"}}
		}}
	}`
	maxMessage = 400 << 20
)

type floor struct {
	pulumirpc.UnimplementedResourceProviderServer
	url, key string
	http     http.Client
	mutex    sync.Mutex
	asked    map[string]func() (map[string]any, error)
}

func main() {
	transport := &http.Transport{MaxIdleConns: 64, MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	pulumirpc.RegisterResourceProviderServer(server, &floor{
		url:   strings.TrimSuffix(os.Getenv("RUNPOD_API_URL"), "/") + "/v2",
		key:   os.Getenv("RUNPOD_API_KEY"),
		http:  http.Client{Transport: transport},
		asked: map[string]func() (map[string]any, error){},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if err := server.Serve(listener); err != nil {
		os.Exit(1)
	}
}

func (f *floor) request(ctx context.Context, method, path string, body any) (map[string]any, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, f.url+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	request.Header.Set("authorization", "Bearer "+f.key)
	request.Header.Set("content-type", "application/json")
	response, err := f.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode == http.StatusNoContent {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s answered %d: %s", method, path, response.StatusCode, answer)
	}
	var decoded map[string]any
	return decoded, json.Unmarshal(answer, &decoded)
}

// once asks for a path once in a process.
func (f *floor) once(path string) (map[string]any, error) {
	f.mutex.Lock()
	ask, found := f.asked[path]
	if !found {
		ask = sync.OnceValues(func() (map[string]any, error) {
			return f.request(context.Background(), http.MethodGet, path, nil)
		})
		f.asked[path] = ask
	}
	f.mutex.Unlock()
	return ask()
}

func text(properties *structpb.Struct, name string) string {
	return properties.GetFields()[name].GetStringValue()
}

func (f *floor) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{}, nil
}

func (f *floor) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version}, nil
}

func (f *floor) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	return &pulumirpc.GetSchemaResponse{Schema: pulumiSchema}, nil
}

func (f *floor) CheckConfig(_ context.Context, request *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: request.News}, nil
}

func (f *floor) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

func (f *floor) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{SupportsPreview: true}, nil
}

func (f *floor) Check(_ context.Context, request *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: request.News}, nil
}

func (f *floor) Diff(_ context.Context, request *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	if proto.Equal(request.OldInputs, request.News) {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_SOME}, nil
}

func (f *floor) Create(ctx context.Context, request *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	if request.Preview {
		return &pulumirpc.CreateResponse{Properties: request.Properties}, nil
	}
	if first := text(request.Properties, "first"); first != "" {
		if _, err := f.once(first); err != nil {
			return nil, err
		}
	}
	body := request.Properties.GetFields()["body"].AsInterface()
	answer, err := f.request(ctx, http.MethodPost, text(request.Properties, "path"), body)
	if err != nil {
		return nil, err
	}
	id, isText := answer["id"].(string)
	if !isText {
		return nil, errors.New("the answer names no id")
	}
	return &pulumirpc.CreateResponse{Id: id, Properties: request.Properties}, nil
}

func (f *floor) Read(_ context.Context, request *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	listed, err := f.once(text(request.Inputs, "path"))
	if err != nil {
		return nil, err
	}
	items, _ := listed[text(request.Inputs, "key")].([]any)
	for _, item := range items {
		if found, _ := item.(map[string]any); found["id"] == request.Id {
			return &pulumirpc.ReadResponse{Id: request.Id, Properties: request.Properties, Inputs: request.Inputs}, nil
		}
	}
	return &pulumirpc.ReadResponse{}, nil
}

func (f *floor) Delete(ctx context.Context, request *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	_, err := f.request(ctx, http.MethodDelete, text(request.OldInputs, "path")+"/"+request.Id, nil)
	return &emptypb.Empty{}, err
}

func (f *floor) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}
