using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>Nobody who would want to know of a range.</summary>
internal sealed class NoReceiver : IRangeReceiver
{
    public void RangeReceived(StreamMapping mapping, long bytes)
    {
    }

    public void RangeEnded(StreamMapping mapping, KwikError outcome)
    {
    }

    public void RangeFailed(StreamMapping mapping, bool elsewhere, KwikError error)
    {
    }
}
