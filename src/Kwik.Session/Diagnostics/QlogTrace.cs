using System.Globalization;
using System.Net;
using System.Text.Json;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// The events of one session, as docs/observability.md lists them. May be called under the session's locks: an event is
/// put into a queue, and nothing foreign runs. Safe for concurrent use.
/// </summary>
internal sealed class QlogTrace
{
    /// <summary>Names the schema of our events.</summary>
    public const string Schema = "urn:kwik:qlog:events:1";

    // Of what people are to read; servers choose the text.
    private const int MaxText = 512;

    private readonly TimeProvider _time;
    private readonly QlogWriter _writer;
    private readonly QlogReceipts _receipts;
    private readonly QlogSampler _sampler;
    private readonly long _began;

    public QlogTrace(QlogOptions options, SessionEnvironment environment, IMeasuredSession session, Guid id, IPEndPoint peer, Action<Exception> failed)
    {
        _time = environment.Time;
        _began = _time.GetTimestamp();
        DateTimeOffset now = _time.GetUtcNow();
        string side = KwikTelemetry.NameOf(session.Side);
        string name = string.Create(CultureInfo.InvariantCulture, $"{now.UtcDateTime:yyyyMMdd'T'HHmmss'Z'}-{id:N}-{side}.sqlog");
        _writer = new QlogWriter(() => options.OpenRecord(name), options.MaxBytes, _time, failed);
        _writer.Enqueue(json => WriteHeader(json, session.Side, id, now));
        _receipts = new QlogReceipts(_time, Write);
        _sampler = new QlogSampler(_time, session, Write, _receipts);
        Write("session_started", data =>
        {
            data.WriteString("session_id", id.ToString());
            data.WriteString("role", side);
            data.WriteString("peer", peer.ToString());
        });
        _writer.Start();
    }

    /// <summary>Is told of every piece that has found its place: stream, path, offset, bytes.</summary>
    public void Placed(long streamId, int pathId, long offset, long length) => _receipts.Add(streamId, pathId, offset, length);

    public void Happened(SessionEvent happened)
    {
        switch (happened)
        {
            case PathStateChanged changed:
                Write("path_state_changed", data =>
                {
                    data.WriteNumber("path_id", changed.Path.Id);
                    data.WriteString("role", KwikTelemetry.NameOf(changed.Path.Role));
                    data.WriteString("address", changed.Path.EndPoint?.ToString());
                    data.WriteString("old", changed.Before.ToString());
                    data.WriteString("new", changed.Path.State.ToString());
                });
                break;
            case RangeLost lost:
                Write("range_lost", data => WriteRange(data, lost.StreamId, lost.PathId, lost.Offset, lost.Length, lost.Error));
                break;
            case FaultTreated fault:
                Write("fault_treated", data =>
                {
                    data.WriteNumber("path_id", fault.PathId);
                    data.WriteNumber("stream_id", fault.StreamId);
                    data.WriteString("action", fault.Action.ToString());
                    WriteError(data, fault.Error, fault.Reason);
                });
                break;
            case RuleBroken broken:
                Write("rule_broken", data =>
                {
                    data.WriteNumber("path_id", broken.PathId);
                    WriteError(data, broken.Error, broken.Reason);
                });
                break;
        }
    }

    /// <summary>The first path, which does not come by an event.</summary>
    public void PathFound(PathInfo path) => Happened(new PathStateChanged(path, PathState.Connecting));

    public void PathEnded(int pathId, KwikException reason, bool isIsolated) => Write("path_ended", data =>
    {
        data.WriteNumber("path_id", pathId);
        data.WriteBoolean("isolated", isIsolated);
        WriteError(data, reason.Code, reason.Message);
    });

    public void StreamOpened(KwikStream stream) => Write("stream_opened", data =>
    {
        data.WriteNumber("stream_id", stream.Id);
        data.WriteString("direction", stream.Direction.ToString());
    });

    public void StreamClosed(KwikStream stream)
    {
        _receipts.Flush();
        _sampler.Forget(stream.Id);
        (long read, long duplicate) = (stream.Incoming.TakenBytes, stream.Incoming.DuplicateBytes);
        Write("stream_closed", data =>
        {
            data.WriteNumber("stream_id", stream.Id);
            data.WriteNumber("read", read);
            data.WriteNumber("duplicate", duplicate);
        });
    }

    public void Offered(KwikStream stream, ContentOffer offer) => Write("content_offered", data =>
    {
        data.WriteNumber("stream_id", stream.Id);
        data.WriteNumber("length", offer.Length);
        data.WriteNumber("leaf_size", offer.LeafSize);
    });

    public void Decided(long streamId, DeliveryStep step)
    {
        string? name = step.Kind switch
        {
            DeliveryStepKind.Ask => "range_asked",
            DeliveryStepKind.Cancel => "range_released",
            DeliveryStepKind.Suspect => "source_silent",
            DeliveryStepKind.Dead => "source_given_up",
            DeliveryStepKind.Back => "source_back",
            _ => null,
        };
        if (name is null)
        {
            return;
        }

        Write(name, data =>
        {
            data.WriteNumber("stream_id", streamId);
            data.WriteNumber("path_id", step.Source);
            if (step.Kind is DeliveryStepKind.Ask or DeliveryStepKind.Cancel)
            {
                data.WriteNumber("request_id", step.RequestId);
                data.WriteNumber("offset", step.Offset);
                data.WriteNumber("length", step.End - step.Offset);
                data.WriteString("why", step.Kind == DeliveryStepKind.Ask ? step.Reason.ToString() : step.Why.ToString());
            }
        });
    }

    /// <summary>A server has answered, or will not.</summary>
    public void RangeEnded(int pathId, long streamId, long requestId, KwikError error) => Write("range_ended", data =>
    {
        data.WriteNumber("stream_id", streamId);
        data.WriteNumber("path_id", pathId);
        data.WriteNumber("request_id", requestId);
        WriteError(data, error, null);
    });

    /// <summary>An Internal stream belongs to a public stream from now on, or no longer.</summary>
    public void MappingChanged(InboundSecondaryStream source, bool isOpen)
    {
        (long streamId, long offset, KwikError? stopped) = (source.StreamId, source.Offset, source.StopCode);
        Write(isOpen ? "mapping_opened" : "mapping_closed", data =>
        {
            WriteMapping(data, source, streamId, offset);
            if (!isOpen)
            {
                WriteError(data, stopped ?? source.Outcome, null);
            }
        });
    }

    /// <summary>On a server: a range was sent as far as that went.</summary>
    public void RangeServed(Data.Wire.RangeRequest request, long sent, KwikError error) => Write("range_served", data =>
    {
        data.WriteNumber("stream_id", request.KwikStreamId);
        data.WriteNumber("request_id", request.RequestId);
        data.WriteNumber("offset", request.Offset);
        data.WriteNumber("length", request.Length);
        data.WriteNumber("sent", sent);
        WriteError(data, error, null);
    });

    /// <summary>The session has ended: writes what is left, and waits a bounded time until that is done.</summary>
    public Task EndAsync(KwikError error, string? reason)
    {
        _sampler.Stop();
        _receipts.Flush();
        Write("session_ended", data => WriteError(data, error, reason));
        return _writer.CompleteAsync();
    }

    /// <summary>One event; without a time it is as old as the one before.</summary>
    public static void WriteEvent(Utf8JsonWriter json, double? time, string name, Action<Utf8JsonWriter> write)
    {
        if (time is { } milliseconds)
        {
            json.WriteNumber("time", milliseconds);
        }

        json.WriteString("name", $"kwik:{name}");
        json.WriteStartObject("data");
        write(json);
        json.WriteEndObject();
    }

    private void Write(string name, Action<Utf8JsonWriter> data)
    {
        double time = Math.Round(_time.GetElapsedTime(_began).TotalMilliseconds, 3);
        _writer.Enqueue(json => WriteEvent(json, time, name, data));
    }

    private static void WriteMapping(Utf8JsonWriter data, InboundSecondaryStream source, long streamId, long offset)
    {
        data.WriteNumber("stream_id", streamId);
        data.WriteNumber("path_id", source.Id.PathId);
        data.WriteNumber("internal_stream_id", source.Id.StreamId);
        data.WriteNumber("offset", offset);
        if (source.Request is { } request)
        {
            data.WriteNumber("request_id", request.RequestId);
        }
    }

    private static void WriteRange(Utf8JsonWriter data, long streamId, int pathId, long offset, long length, KwikError error)
    {
        data.WriteNumber("stream_id", streamId);
        data.WriteNumber("path_id", pathId);
        data.WriteNumber("offset", offset);
        data.WriteNumber("length", length);
        WriteError(data, error, null);
    }

    private static void WriteError(Utf8JsonWriter data, KwikError error, string? reason)
    {
        data.WriteString("error", error.ToString());
        if (reason is { Length: > 0 })
        {
            data.WriteString("reason", reason.Length > MaxText ? reason[..MaxText] : reason);
        }
    }

    private static void WriteHeader(Utf8JsonWriter json, SessionSide side, Guid id, DateTimeOffset now)
    {
        json.WriteString("qlog_version", "0.4");
        json.WriteString("qlog_format", "JSON-SEQ");
        // The same two as newer drafts of qlog name them.
        json.WriteString("file_schema", "urn:ietf:params:qlog:file:sequential");
        json.WriteString("serialization_format", "application/qlog+json-seq");
        json.WriteString("title", "Kwik session");
        json.WriteStartObject("trace");
        json.WriteStartObject("vantage_point");
        json.WriteString("name", $"kwik {KwikTelemetry.NameOf(side)}");
        json.WriteString("type", side == SessionSide.Client ? "client" : "server");
        json.WriteEndObject();
        json.WriteStartArray("event_schemas");
        json.WriteStringValue(Schema);
        json.WriteEndArray();
        json.WriteStartObject("common_fields");
        json.WriteString("group_id", id.ToString());
        json.WriteString("time_format", "relative_to_epoch");
        json.WriteStartObject("reference_time");
        json.WriteString("clock_type", "monotonic");
        json.WriteString("epoch", "unknown");
        json.WriteString("wall_clock_time", now.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
