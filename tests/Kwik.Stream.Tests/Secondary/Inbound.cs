using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>Makes what the mapping manager works with.</summary>
internal static class Inbound
{
    /// <summary>An Internal stream that nobody reads.</summary>
    public static InboundSecondaryStream Create(int pathId, long id, TimeProvider? time = null)
    {
        var transport = new MemoryTransportStream(id, new MemoryPipe(int.MaxValue), new MemoryPipe(0));
        return new InboundSecondaryStream(pathId, transport, new FrameReader(transport, new LeasePool()), time ?? new ManualTime());
    }
}
