using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>Two ends of a public stream that the primary opened, joined in memory. An offer of the primary reaches the client at once, as if by control.</summary>
internal sealed class StreamPair : IAsyncDisposable
{
    private readonly Owner _clientOwner;
    private readonly Owner _primaryOwner;

    public StreamPair(int window = 1024 * 1024, AggregatorOptions? options = null)
    {
        (ClientTransport, PrimaryTransport) = MemoryTransportStream.CreatePair(window);
        _clientOwner = new Owner(this, isPrimary: false);
        _primaryOwner = new Owner(this, isPrimary: true);
        (ClientErrors, PrimaryErrors) = MemoryTransportStream.CreatePair();
        Client = new KwikStream(ClientTransport, ClientErrors, XStreamDirection.Inbound, _clientOwner, options ?? new(), Pool);
        Primary = new KwikStream(PrimaryTransport, PrimaryErrors, XStreamDirection.Outbound, _primaryOwner, options ?? new(), Pool);
    }

    public LeasePool Pool { get; } = new();

    public ManualTime Time { get; } = new();

    /// <summary>What the channels of both ends share with others, if anything; before the first channel.</summary>
    public MessagePace? SessionPace { get; set; }

    /// <summary>An offer waits for this before it reaches the client.</summary>
    public Task OfferGate { get; set; } = Task.CompletedTask;

    public MemoryTransportStream ClientTransport { get; }

    public MemoryTransportStream PrimaryTransport { get; }

    public MemoryTransportStream ClientErrors { get; }

    public MemoryTransportStream PrimaryErrors { get; }

    public KwikStream Client { get; }

    public KwikStream Primary { get; }

    public int ClosedClients => _clientOwner.Closed;

    public int ClosedPrimaries => _primaryOwner.Closed;

    /// <summary>Closes both sides and checks that each told its owner once and that no memory is out.</summary>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(Client.DisposeAsync().AsTask(), Primary.DisposeAsync().AsTask()).WithinAsync();
        Assert.Equal((1, 1), (ClosedClients, ClosedPrimaries));
        Assert.Equal(0, Pool.Outstanding);
    }

    private sealed class Owner(StreamPair pair, bool isPrimary) : IStreamOwner
    {
        private int _closed;

        public TimeProvider Time => pair.Time;

        public MessagePace? MessagePace => pair.SessionPace;

        public int Closed => _closed;

        public bool Pushes => isPrimary;

        public async ValueTask OfferAsync(KwikStream stream, ContentOffer offer, CancellationToken cancellationToken)
        {
            if (!isPrimary)
            {
                throw new InvalidOperationException("Only a primary offers content.");
            }

            await pair.OfferGate.WaitAsync(cancellationToken);
            Assert.True(pair.Client.TryApplyOffer(offer));
        }

        public Task<SecondaryStream> OpenSecondaryAsync(CancellationToken cancellationToken) =>
            throw new InvalidOperationException("There is no connection for it here.");

        public void StreamClosed(KwikStream stream) => Interlocked.Increment(ref _closed);
    }
}
