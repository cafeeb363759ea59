using System.Text.Json;

namespace Kwik.Sessions;

/// <summary>A public stream at one moment.</summary>
/// <param name="Id">Of the stream.</param>
/// <param name="ReadOffset">Everything before has gone to the reader.</param>
/// <param name="Taken">Bytes that have gone to the reader, wherever they lie.</param>
/// <param name="Hole">The first byte that is missing, of those that are known to come; null: none.</param>
internal readonly record struct StreamSample(long Id, long ReadOffset, long Taken, long? Hole);

/// <summary>
/// Looks at a session every 100 ms, and records how it stands when that has changed: paths, buffered bytes, holes, and streams
/// that wait for bytes for longer than 200 ms.
/// </summary>
internal sealed class QlogSampler
{
    /// <summary>Streams and paths in one sample, each.</summary>
    private const int MaxListed = 64;

    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    public static readonly TimeSpan StallThreshold = TimeSpan.FromMilliseconds(200);

    private readonly TimeProvider _time;
    private readonly IMeasuredSession _session;
    private readonly Action<string, Action<Utf8JsonWriter>> _write;
    private readonly QlogReceipts _receipts;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();
    private readonly Dictionary<long, Progress> _streams = [];
    private string _last = "";
    private bool _stopped;

    public QlogSampler(
        TimeProvider time, IMeasuredSession session, Action<string, Action<Utf8JsonWriter>> write, QlogReceipts receipts)
    {
        (_time, _session, _write, _receipts) = (time, session, write, receipts);
        _timer = time.CreateTimer(static sampler => ((QlogSampler)sampler!).Sample(), this, Interval, Interval);
    }

    private sealed class Progress(long now)
    {
        public long Taken { get; set; }

        public long TakenAt { get; set; } = now;

        public long? Hole { get; set; }

        public long HoleSince { get; set; } = now;

        public bool IsStalled { get; set; }
    }

    public void Stop()
    {
        lock (_gate)
        {
            _stopped = true;
        }

        _timer.Dispose();
    }

    public void Forget(long streamId)
    {
        lock (_gate)
        {
            _streams.Remove(streamId);
        }
    }

    private void Sample()
    {
        _receipts.Flush();
        SessionCounts counts = _session.Count();
        List<PathInfo> paths = [.. _session.PathsNow().Take(MaxListed)];
        List<StreamSample> streams = [.. _session.StreamsNow().Take(MaxListed)];
        List<Action> news = [];
        lock (_gate)
        {
            if (_stopped)
            {
                return;
            }

            long now = _time.GetTimestamp();
            List<(StreamSample Stream, double? HoleAge)> aged = streams.ConvertAll(stream => (stream, FollowLocked(stream, now, news)));
            string seen = string.Join('|', [
                $"{counts.Pending},{counts.Sent}",
                .. paths.Select(path => $"{path.Id},{path.BytesReceived},{path.RoundTrip}"),
                .. streams.Select(stream => $"{stream.Id},{stream.Taken},{stream.Hole}")]);
            // A hole grows old while nothing else moves.
            if (seen != _last || streams.Exists(stream => stream.Hole is not null))
            {
                _last = seen;
                news.Add(() => _write("sample", data => Write(data, counts, paths, aged)));
            }
        }

        news.ForEach(tell => tell());
    }

    /// <summary>The age of the stream's hole in milliseconds; null without one.</summary>
    private double? FollowLocked(StreamSample stream, long now, List<Action> news)
    {
        if (!_streams.TryGetValue(stream.Id, out Progress? progress))
        {
            _streams[stream.Id] = progress = new Progress(now) { Taken = stream.Taken, Hole = stream.Hole };
        }

        if (progress.Hole != stream.Hole)
        {
            (progress.Hole, progress.HoleSince) = (stream.Hole, now);
        }

        TimeSpan waited = _time.GetElapsedTime(progress.TakenAt, now);
        bool hasMoved = progress.Taken != stream.Taken;
        if (progress.IsStalled && (hasMoved || stream.Hole is null))
        {
            progress.IsStalled = false;
            news.Add(() => _write("stall_ended", data => WriteStall(data, stream, waited)));
        }

        if (hasMoved || stream.Hole is null)
        {
            (progress.Taken, progress.TakenAt) = (stream.Taken, now);
        }
        else if (!progress.IsStalled && waited >= StallThreshold)
        {
            progress.IsStalled = true;
            news.Add(() => _write("stall_started", data => WriteStall(data, stream, waited)));
        }

        return stream.Hole is null ? null : Math.Round(_time.GetElapsedTime(progress.HoleSince, now).TotalMilliseconds, 1);
    }

    private static void WriteStall(Utf8JsonWriter data, StreamSample stream, TimeSpan lasted)
    {
        data.WriteNumber("stream_id", stream.Id);
        data.WriteNumber("offset", stream.ReadOffset);
        data.WriteNumber("lasted", Math.Round(lasted.TotalMilliseconds, 1));
    }

    private static void Write(
        Utf8JsonWriter data, SessionCounts counts, List<PathInfo> paths, List<(StreamSample Stream, double? HoleAge)> streams)
    {
        data.WriteNumber("pending", counts.Pending);
        data.WriteNumber("received", counts.FromPrimary + counts.FromSecondaries);
        data.WriteNumber("sent", counts.Sent);
        data.WriteStartArray("paths");
        foreach (PathInfo path in paths)
        {
            data.WriteStartObject();
            data.WriteNumber("path_id", path.Id);
            data.WriteNumber("bytes", path.BytesReceived);
            if (path.RoundTrip is { } roundTrip)
            {
                data.WriteNumber("rtt", Math.Round(roundTrip.TotalMilliseconds, 3));
            }

            data.WriteEndObject();
        }

        data.WriteEndArray();
        data.WriteStartArray("streams");
        foreach ((StreamSample stream, double? age) in streams)
        {
            data.WriteStartObject();
            data.WriteNumber("stream_id", stream.Id);
            data.WriteNumber("read", stream.Taken);
            if (stream.Hole is { } hole)
            {
                data.WriteNumber("hole_offset", hole);
                data.WriteNumber("hole_age", age ?? 0);
            }

            data.WriteEndObject();
        }

        data.WriteEndArray();
    }
}
