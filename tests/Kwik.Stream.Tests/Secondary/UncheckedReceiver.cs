using System.Runtime.InteropServices;
using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>Gives whatever comes for a request to its stream, and does not care how it ends.</summary>
internal sealed class UncheckedReceiver(int path, KwikStream stream) : IRangeReceiver
{
    public void Receive(long offset, List<Lease> pieces)
    {
        Assert.Equal(pieces.Count, stream.Incoming.Accept(path, ref offset, CollectionsMarshal.AsSpan(pieces), out _));
        pieces.Clear();
    }

    public void Ended(KwikError outcome)
    {
    }

    public void Failed(bool elsewhere, KwikError error)
    {
    }

    public void Ignored()
    {
    }
}
