namespace Kwik.Benchmarks;

/// <summary>A server behind a link, in a model without packets: it sends frames one after the other, and each takes its time.</summary>
internal sealed class ModelSource(int id, TimeSpan roundTrip, double bytesPerSecond)
{
    private readonly List<(TimeSpan From, double Rate)> _rates = [(TimeSpan.Zero, bytesPerSecond)];

    public int Id => id;

    public TimeSpan RoundTrip => roundTrip;

    /// <summary>What arrives at once: 5 ms of its rate, one packet at least, one frame of ours at most.</summary>
    public long FrameSize { get; } = (long)Math.Clamp(bytesPerSecond * 0.005, 1200, 64 * 1024);

    /// <summary>What it has been asked for and has not sent.</summary>
    public List<Answer> Queue { get; } = [];

    /// <summary>A frame is on its way out.</summary>
    public bool IsSending { get; set; }

    /// <summary>From then on, until the next change; 0: it is dead.</summary>
    public void Change(TimeSpan from, double bytesPerSecond) => _rates.Add((from, bytesPerSecond));

    /// <summary>When so many bytes that are begun now are out.</summary>
    public TimeSpan? Sent(TimeSpan now, long bytes)
    {
        double left = bytes;
        for (int i = Index(now); i < _rates.Count; i++)
        {
            TimeSpan until = i + 1 < _rates.Count ? _rates[i + 1].From : TimeSpan.MaxValue;
            double possible = _rates[i].Rate == 0 ? 0 : _rates[i].Rate * (until - now).TotalSeconds;
            if (_rates[i].Rate > 0 && possible >= left)
            {
                return now + TimeSpan.FromSeconds(left / _rates[i].Rate);
            }

            (left, now) = (left - possible, until);
        }

        return null;
    }

    /// <summary>Bytes that it can have brought until then, had it been asked at the beginning.</summary>
    public double Possible(TimeSpan until)
    {
        double bytes = 0;
        TimeSpan last = until - roundTrip;
        for (int i = 0; i < _rates.Count && _rates[i].From < last; i++)
        {
            TimeSpan end = i + 1 < _rates.Count && _rates[i + 1].From < last ? _rates[i + 1].From : last;
            bytes += _rates[i].Rate * (end - _rates[i].From).TotalSeconds;
        }

        return bytes;
    }

    private int Index(TimeSpan now) => _rates.FindLastIndex(rate => rate.From <= now);

    public sealed class Answer(long requestId, long offset, long end)
    {
        public long RequestId => requestId;

        public long Next { get; set; } = offset;

        public long End => end;
    }
}
