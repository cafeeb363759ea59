using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Provider.Tests;

/// <summary>The options of a connection by the name that the client asks for, and the callback that gives them.</summary>
public sealed class ServerNameTests
{
    [Theory]
    [InlineData("localhost")]
    [InlineData("some.host.example")]
    public async Task Connect_TargetHost_ReachesTheOptionsCallback(string host)
    {
        var seen = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = (_, hello, _) =>
        {
            seen.TrySetResult(hello.ServerName);
            return ValueTask.FromResult(Loopback.ServerOptions());
        });

        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener, o =>
        {
            o.ClientAuthenticationOptions.TargetHost = host;
            o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, presented, _, _) => presented is not null;
        });
        await using (client)
        await using (server)
        {
            Assert.Equal(host, await seen.Task.Bounded());
            Assert.Equal(host, server.TargetHostName);
        }
    }

    [Fact]
    public async Task Connect_OptionsCallbackIsAsynchronous_WaitsForIt()
    {
        var called = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var answer = new TaskCompletionSource<QuicServerConnectionOptions>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = (_, _, _) =>
        {
            called.TrySetResult();
            return new(answer.Task);
        });
        Task<(QuicConnection Client, QuicConnection Server)> pending = Loopback.ConnectAsync(listener);

        await called.Task.Bounded();
        Assert.False(pending.IsCompleted);
        answer.SetResult(Loopback.ServerOptions());

        (QuicConnection client, QuicConnection server) = await pending.Bounded();
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Connect_OptionsCallbackThrows_FailsOnBothSidesAndTheListenerGoesOn()
    {
        bool fail = true;
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = (_, _, _) =>
            Volatile.Read(ref fail)
                ? ValueTask.FromException<QuicServerConnectionOptions>(new InvalidOperationException("refused by the test"))
                : ValueTask.FromResult(Loopback.ServerOptions()));
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        await Assert.ThrowsAsync<AuthenticationException>(() =>
            QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint)).Bounded());

        await Expect.Quic(QuicError.CallbackError, null, accept);
        Volatile.Write(ref fail, false);
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Connect_OptionsByName_EachNameGetsItsCertificateProtocolAndLimits()
    {
        var authority = new CertificateAuthority(KeyKind.EcdsaP256, intermediates: 1);
        SslApplicationProtocol[] protocols = [new("kwik-a"), new("kwik-b"), new("kwik-c")];
        string[] hosts = ["a.example", "b.example", "c.example"];
        KeyKind[] keys = [KeyKind.EcdsaP256, KeyKind.Rsa2048, KeyKind.EcdsaP384];
        X509Certificate2[] leafs = [.. hosts.Select((host, i) => authority.MakeLeaf(keys[i], host))];
        await using QuicListener listener = await Loopback.ListenAsync(listen: o =>
        {
            o.ApplicationProtocols = [.. protocols];
            o.ConnectionOptionsCallback = (_, hello, _) =>
            {
                int i = Array.IndexOf(hosts, hello.ServerName);
                QuicServerConnectionOptions options = Loopback.ServerOptions();
                options.MaxInboundBidirectionalStreams = i + 1;
                options.ServerAuthenticationOptions.ApplicationProtocols = [protocols[i]];
                options.ServerAuthenticationOptions.ServerCertificateContext =
                    SslStreamCertificateContext.Create(leafs[i], authority.Intermediates, offline: true);
                return ValueTask.FromResult(options);
            };
        });

        // Twice, so that nothing of the first round is taken for the second.
        for (int i = 0; i < 2 * hosts.Length; i++)
        {
            int host = i % hosts.Length;
            (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener, o =>
            {
                o.ClientAuthenticationOptions.TargetHost = hosts[host];
                o.ClientAuthenticationOptions.ApplicationProtocols = [.. protocols];
                o.ClientAuthenticationOptions.CertificateChainPolicy = authority.Trust();
            });
            await using (client)
            await using (server)
            {
                Assert.Equal(leafs[host], client.RemoteCertificate);
                Assert.Equal(protocols[host], client.NegotiatedApplicationProtocol);
                Assert.Equal(protocols[host], server.NegotiatedApplicationProtocol);
                var open = new List<QuicStream>();
                for (int stream = 0; stream <= host; stream++)
                {
                    open.Add((await client.OpenPairAsync(server)).Local);
                }

                ValueTask<QuicStream> above = client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional);
                await server.AssertAliveAsync(client);
                Assert.False(above.IsCompleted);
                await client.DisposeAsync().Bounded();
                await Assert.ThrowsAnyAsync<Exception>(above.AsTask().Bounded);
            }
        }
    }

    [Fact]
    public async Task Connect_OptionsForAProtocolThatTheClientLacks_FailsOnBothSides()
    {
        await using QuicListener listener = await Loopback.ListenAsync(server: o =>
            o.ServerAuthenticationOptions.ApplicationProtocols = [new("kwik-nobody")]);
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        await Assert.ThrowsAsync<AuthenticationException>(() =>
            QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint)).Bounded());
        await Assert.ThrowsAnyAsync<Exception>(accept.Bounded);
    }

    [Fact]
    public async Task Connect_OptionsCallbackTakesItsTime_DoesNotHoldUpOtherConnections()
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = async (_, hello, token) =>
        {
            if (hello.ServerName == "slow.example")
            {
                entered.TrySetResult();
                await release.Task.WaitAsync(token);
            }

            return Loopback.ServerOptions();
        });
        Task<QuicConnection> slow = Loopback.ConnectAsync(listener.LocalEndPoint, o =>
        {
            o.ClientAuthenticationOptions.TargetHost = "slow.example";
            o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, presented, _, _) => presented is not null;
        });
        await entered.Task.Bounded();
        // The listener hands connections out in the order of their arrival, so only the clients' halves are waited for.
        for (int i = 0; i < 5; i++)
        {
            await using QuicConnection other = await Loopback.ConnectAsync(listener.LocalEndPoint);
        }

        Assert.False(slow.IsCompleted);
        release.SetResult();
        await using QuicConnection late = await slow.Bounded();
    }

    [Fact]
    public async Task Connect_OptionsCallbackThrowsSynchronously_FailsOnBothSides()
    {
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = (_, _, _) =>
            throw new InvalidOperationException("refused by the test"));
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        await Assert.ThrowsAsync<AuthenticationException>(() =>
            QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint)).Bounded());

        await Expect.Quic(QuicError.CallbackError, null, accept);
    }

    [Fact]
    public async Task Connect_ClientGivesUpDuringTheOptionsCallback_CancelsIt()
    {
        var entered = new TaskCompletionSource<CancellationToken>(TaskCreationOptions.RunContinuationsAsynchronously);
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bool wait = true;
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = async (_, _, token) =>
        {
            if (Volatile.Read(ref wait))
            {
                token.Register(() => cancelled.TrySetResult());
                entered.TrySetResult(token);
                await cancelled.Task;
                token.ThrowIfCancellationRequested();
            }

            return Loopback.ServerOptions();
        });
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();
        using var giveUp = new CancellationTokenSource();
        Task<QuicConnection> connect =
            QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint), giveUp.Token).AsTask();
        await entered.Task.Bounded();

        await giveUp.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(connect.Bounded);
        // Long before the handshake's time of 10 seconds is over, which would cancel it too.
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(8));
        await Assert.ThrowsAnyAsync<Exception>(accept.Bounded);
        Volatile.Write(ref wait, false);
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Listener_DisposedDuringTheOptionsCallback_CancelsItAndTheClientFails()
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = async (_, _, token) =>
        {
            token.Register(() => cancelled.TrySetResult());
            entered.TrySetResult();
            await cancelled.Task;
            token.ThrowIfCancellationRequested();
            return Loopback.ServerOptions();
        });
        Task<QuicConnection> connect = QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint)).AsTask();
        await entered.Task.Bounded();

        await listener.DisposeAsync().Bounded();

        await cancelled.Task.Bounded();
        Exception e = await Assert.ThrowsAnyAsync<Exception>(connect.Bounded);
        Assert.True(e is AuthenticationException or QuicException, Expect.Describe(e));
    }

    [Theory]
    [InlineData("b\u00fccher.example", "xn--bcher-kva.example")]
    [InlineData("xn--bcher-kva.example", "xn--bcher-kva.example")]
    [InlineData("\u4f8b\u3048.example", "xn--r8jz45g.example")]
    public async Task Connect_InternationalName_IsSentAndCheckedInItsAsciiForm(string host, string ascii)
    {
        var authority = new CertificateAuthority(KeyKind.EcdsaP256, intermediates: 0);
        using X509Certificate2 leaf = authority.MakeLeaf(KeyKind.EcdsaP256, ascii);
        var seen = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = (_, hello, _) =>
        {
            seen.TrySetResult(hello.ServerName);
            return ValueTask.FromResult(Loopback.ServerOptions(s => s.ServerAuthenticationOptions.ServerCertificate = leaf));
        });

        await using QuicConnection client = await Loopback.ConnectAsync(listener.LocalEndPoint, o =>
        {
            o.ClientAuthenticationOptions.TargetHost = host;
            o.ClientAuthenticationOptions.CertificateChainPolicy = authority.Trust();
        });

        Assert.Equal(ascii, await seen.Task.Bounded());
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public async Task Connect_AddressAsTargetHost_SendsNoNameAndChecksTheAddress(string address)
    {
        var seen = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using QuicListener listener = await Loopback.ListenAsync(listen: o =>
        {
            o.ListenEndPoint = new IPEndPoint(IPAddress.Parse(address), 0);
            o.ConnectionOptionsCallback = (_, hello, _) =>
            {
                seen.TrySetResult(hello.ServerName);
                return ValueTask.FromResult(Loopback.ServerOptions());
            };
        });

        (QuicConnection client, QuicConnection server) =
            await Loopback.ConnectAsync(listener, o => o.ClientAuthenticationOptions.TargetHost = address);
        await using (client)
        await using (server)
        {
            Assert.Equal("", await seen.Task.Bounded());
            await client.AssertAliveAsync(server);
        }
    }
}
