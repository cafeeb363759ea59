using System.Buffers;
using System.Text.Json;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// Writes records of JSON-SEQ to a stream, from a bounded queue. Enqueuing never waits and never fails. Safe for concurrent use.
/// </summary>
/// <param name="open">Called once, by the task that writes.</param>
/// <param name="maxBytes">Of the whole; the last record says that there was more.</param>
/// <param name="time">Bounds the wait for the end.</param>
/// <param name="failed">Runs once, when nothing more can be written.</param>
internal sealed class QlogWriter(Func<Stream> open, long maxBytes, TimeProvider time, Action<Exception> failed)
{
    // Kept free for the record that says that there was more.
    private const int Reserve = 256;

    // RFC 7464: every text begins with a record separator and ends with a line feed.
    private const byte RecordSeparator = 0x1e;
    private const byte LineFeed = 0x0a;

    private readonly Lock _gate = new();
    private readonly AsyncSignal _changed = new();
    private readonly ArrayBufferWriter<byte> _batch = new();
    private Queue<Action<Utf8JsonWriter>> _queue = new();
    private long _dropped;
    private long _written;
    private bool _stopped;
    private bool _completed;
    private Task _running = Task.CompletedTask;

    public void Start() => _running = Background.Start(RunAsync);

    /// <summary>Queues one record, which <paramref name="write"/> fills between its braces, later and on another thread.</summary>
    public void Enqueue(Action<Utf8JsonWriter> write)
    {
        lock (_gate)
        {
            if (_stopped || _completed)
            {
                return;
            }

            if (_queue.Count >= QlogOptions.QueueCapacity)
            {
                _dropped++;
                return;
            }

            _queue.Enqueue(write);
        }

        _changed.Set();
    }

    /// <summary>Waits until everything is written; a bounded time, because the stream may be anybody's.</summary>
    public async Task CompleteAsync()
    {
        lock (_gate)
        {
            _completed = true;
        }

        _changed.Set();
        if (!await Background.EndsWithinAsync(() => _running, SessionTimeouts.Close, time))
        {
            failed(new TimeoutException($"The stream of a qlog has not taken its end within {SessionTimeouts.Close}."));
        }
    }

    private async Task RunAsync()
    {
        try
        {
            await _changed.WaitAsync(CancellationToken.None);
            await using Stream stream = open();
            while (TryTake(out Queue<Action<Utf8JsonWriter>> records, out long dropped))
            {
                if (records.Count == 0 && dropped == 0)
                {
                    await _changed.WaitAsync(CancellationToken.None);
                    continue;
                }

                bool isFull = !TryFormat(records, dropped);
                await stream.WriteAsync(_batch.WrittenMemory);
                await stream.FlushAsync();
                _batch.ResetWrittenCount();
                if (isFull)
                {
                    break;
                }
            }
        }
        catch (Exception e)
        {
            // Whatever the disk or a foreign stream throws ends the record, and not the session.
            failed(e);
        }

        lock (_gate)
        {
            _stopped = true;
            _queue = new();
        }
    }

    /// <summary>False when everything was taken and no more will come.</summary>
    private bool TryTake(out Queue<Action<Utf8JsonWriter>> records, out long dropped)
    {
        lock (_gate)
        {
            (records, _queue) = (_queue, new());
            (dropped, _dropped) = (_dropped, 0);
            return records.Count > 0 || dropped > 0 || !_completed;
        }
    }

    /// <summary>False when the record is full.</summary>
    private bool TryFormat(Queue<Action<Utf8JsonWriter>> records, long dropped)
    {
        foreach (Action<Utf8JsonWriter> record in records)
        {
            if (!TryAppend(record))
            {
                return false;
            }
        }

        return dropped == 0 || TryAppend(json => QlogTrace.WriteEvent(json, null, "events_dropped", data => data.WriteNumber("count", dropped)));
    }

    private bool TryAppend(Action<Utf8JsonWriter> record)
    {
        if (TryAppend(record, maxBytes - Reserve))
        {
            return true;
        }

        TryAppend(json => QlogTrace.WriteEvent(json, null, "truncated", data => data.WriteNumber("max_bytes", maxBytes)), maxBytes);
        return false;
    }

    private bool TryAppend(Action<Utf8JsonWriter> record, long limit)
    {
        var text = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(text))
        {
            json.WriteStartObject();
            record(json);
            json.WriteEndObject();
        }

        if (_written + text.WrittenCount + 2 > limit)
        {
            return false;
        }

        _written += text.WrittenCount + 2;
        _batch.Write([RecordSeparator]);
        _batch.Write(text.WrittenSpan);
        _batch.Write([LineFeed]);
        return true;
    }
}
