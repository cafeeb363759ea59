using System.Net;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Kwik.Provider.Tests;

/// <summary>Kestrel and HttpClient over HTTP/3: requests of every shape, broken off from either side.</summary>
public sealed class Http3Tests
{
    private const int Large = 50_000_000;

    [Fact]
    public async Task Get_SmallPage_ComesOverHttp3()
    {
        await using Http3Server server = await Http3Server.StartAsync(context => context.Response.WriteAsync(context.Request.Protocol));
        using HttpClient client = server.CreateClient();

        using HttpResponseMessage response = await client.GetAsync("/").Bounded();

        Assert.Equal((HttpStatusCode.OK, HttpVersion.Version30), (response.StatusCode, response.Version));
        Assert.Equal("HTTP/3", await response.Content.ReadAsStringAsync().Bounded());
    }

    [Fact]
    public async Task Post_TenMegabytes_ComeBackWhileTheyAreSent()
    {
        const int Length = 10_000_000;
        await using Http3Server server = await Http3Server.StartAsync();
        using HttpClient client = server.CreateClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/")
        {
            Content = new DuplexContent(Content.Bytes(seed: 5, Length)),
            Version = HttpVersion.Version30,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };

        using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).Bounded();

        await Http3Server.AssertContentAsync(response.Content, seed: 5, Length);
    }

    [Fact]
    public async Task Get_HundredAtOnce_AllComeWhole()
    {
        await using Http3Server server = await Http3Server.StartAsync();
        using HttpClient client = server.CreateClient();

        for (int round = 0; round < 3; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 100).Select(i => AssertGetAsync(client, seed: i, length: 50_000))).Bounded();
        }

        Assert.Equal(1, server.ConnectionCount);
    }

    [Fact]
    public async Task Get_CancelledByTheClient_ServerLearnsOfItAndTheConnectionGoesOn()
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using Http3Server server = await Http3Server.StartAsync(async context =>
        {
            if (context.Request.Path != "/wait")
            {
                await Http3Server.ServeContentAsync(context);
                return;
            }

            context.RequestAborted.Register(() => aborted.TrySetResult());
            entered.TrySetResult();
            await aborted.Task.Bounded();
        });
        using HttpClient client = server.CreateClient();
        using var giveUp = new CancellationTokenSource();
        Task<HttpResponseMessage> request = client.GetAsync("/wait", giveUp.Token);
        await entered.Task.Bounded();

        await giveUp.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(request.Bounded);
        await aborted.Task.Bounded();
        await AssertGetAsync(client, seed: 1, length: 1_000);
        Assert.Equal(1, server.ConnectionCount);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5_000_000)]
    public async Task Get_AbortedByTheServerInTheMiddle_FailsAtTheClientAndTheConnectionGoesOn(int sent)
    {
        await using Http3Server server = await Http3Server.StartAsync(async context =>
        {
            if (context.Request.Path != "/abort")
            {
                await Http3Server.ServeContentAsync(context);
                return;
            }

            context.Response.ContentLength = Large;
            await Http3Server.WriteContentAsync(context, seed: 1, sent);
            context.Abort();
        });
        using HttpClient client = server.CreateClient();

        for (int i = 0; i < 5; i++)
        {
            Exception e = await Assert.ThrowsAnyAsync<Exception>(async () =>
            {
                using HttpResponseMessage response = await client.GetAsync("/abort", HttpCompletionOption.ResponseHeadersRead).Bounded();
                await Http3Server.AssertContentAsync(response.Content, seed: 1, Large);
            });
            Assert.True(e is HttpRequestException or IOException, e.ToString());
            await AssertGetAsync(client, seed: i, length: 10_000);
        }

        Assert.Equal(1, server.ConnectionCount);
    }

    [Fact]
    public async Task Get_LargeDownloadResetByTheClientInTheMiddle_FreesTheServerAndTheCredit()
    {
        using var aborted = new SemaphoreSlim(0);
        await using Http3Server server = await Http3Server.StartAsync(async context =>
        {
            try
            {
                await Http3Server.ServeContentAsync(context);
            }
            catch (OperationCanceledException)
            {
                aborted.Release();
                throw;
            }
        });
        using HttpClient client = server.CreateClient();

        for (int i = 0; i < 10; i++)
        {
            using (HttpResponseMessage response = await client.GetAsync($"/{i}-{Large}", HttpCompletionOption.ResponseHeadersRead).Bounded())
            {
                await using Stream body = await response.Content.ReadAsStreamAsync().Bounded();
                var part = new byte[2_000_000];
                await body.ReadExactlyAsync(part).Bounded();
                Content.AssertAt(part, seed: i, offset: 0);
            }

            Assert.True(await aborted.WaitAsync(Patience.Limit));
        }

        // More than any window of the connection: nothing of the ten downloads holds credit.
        await AssertGetAsync(client, seed: 99, Large);
        Assert.Equal(1, server.ConnectionCount);
    }

    [Fact]
    public async Task Get_Trailers_Arrive()
    {
        await using Http3Server server = await Http3Server.StartAsync(async context =>
        {
            context.Response.DeclareTrailer("x-sum");
            await context.Response.WriteAsync("body");
            context.Response.AppendTrailer("x-sum", "4");
        });
        using HttpClient client = server.CreateClient();

        using HttpResponseMessage response = await client.GetAsync("/").Bounded();

        Assert.Equal("body", await response.Content.ReadAsStringAsync().Bounded());
        Assert.Equal("4", Assert.Single(response.TrailingHeaders.GetValues("x-sum")));
    }

    [Fact]
    public async Task Get_LargeHeaders_ArriveBothWays()
    {
        string value = new('v', 4_000);
        await using Http3Server server = await Http3Server.StartAsync(context =>
        {
            context.Response.Headers["x-answer"] = context.Request.Headers["x-question"];
            return context.Response.Body.WriteAsync(Encoding.ASCII.GetBytes("done")).AsTask();
        });
        using HttpClient client = server.CreateClient();
        client.DefaultRequestHeaders.Add("x-question", value);

        using HttpResponseMessage response = await client.GetAsync("/").Bounded();

        Assert.Equal(value, Assert.Single(response.Headers.GetValues("x-answer")));
    }

    [Fact]
    public async Task Get_SeveralClientsAtOnce_EachHasItsConnection()
    {
        const int Clients = 8;
        await using Http3Server server = await Http3Server.StartAsync();

        await Task.WhenAll(Enumerable.Range(0, Clients).Select(async i =>
        {
            using HttpClient client = server.CreateClient();
            for (int round = 0; round < 3; round++)
            {
                await AssertGetAsync(client, seed: i, length: 500_000);
            }
        })).Bounded();

        Assert.Equal(Clients, server.ConnectionCount);
    }

    [Fact]
    public async Task Get_MoreAtOnceThanAConnectionTakes_OpensFurtherConnections()
    {
        const int Requests = 30;
        using var entered = new SemaphoreSlim(0);
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using Http3Server server = await Http3Server.StartAsync(
            async context =>
            {
                entered.Release();
                await release.Task.Bounded();
                await Http3Server.ServeContentAsync(context);
            },
#pragma warning disable CA2252 // The transport's options count as a preview; nothing else lowers the limit.
            quic => quic.MaxBidirectionalStreamCount = 10);
#pragma warning restore CA2252
        using HttpClient client = server.CreateClient(transport => transport.EnableMultipleHttp3Connections = true);

        Task requests = Task.WhenAll(Enumerable.Range(0, Requests).Select(i => AssertGetAsync(client, seed: i, length: 10_000)));
        for (int i = 0; i < Requests; i++)
        {
            Assert.True(await entered.WaitAsync(Patience.Limit));
        }

        release.SetResult();
        await requests.Bounded();
        Assert.InRange(server.ConnectionCount, 3, Requests);
    }

    [Fact]
    public async Task Stop_WhileRequestsRun_LetsThemFinishAndTakesNoMore()
    {
        const int Requests = 10;
        using var entered = new SemaphoreSlim(0);
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using Http3Server server = await Http3Server.StartAsync(async context =>
        {
            entered.Release();
            await release.Task.Bounded();
            await Http3Server.ServeContentAsync(context);
        });
        using HttpClient client = server.CreateClient();
        Task[] requests = [.. Enumerable.Range(0, Requests).Select(i => AssertGetAsync(client, seed: i, length: 1_000_000))];
        for (int i = 0; i < Requests; i++)
        {
            Assert.True(await entered.WaitAsync(Patience.Limit));
        }

        Task stop = server.StopAsync();
        Assert.False(stop.IsCompleted);
        release.SetResult();

        await Task.WhenAll(requests).Bounded();
        await stop;
        using HttpClient late = server.CreateClient();
        await Assert.ThrowsAsync<HttpRequestException>(() => late.GetAsync("/1-1").Bounded());
    }

    private static async Task AssertGetAsync(HttpClient client, long seed, int length)
    {
        using HttpResponseMessage response =
            await client.GetAsync($"/{seed}-{length}", HttpCompletionOption.ResponseHeadersRead).Bounded();
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        await Http3Server.AssertContentAsync(response.Content, seed, length);
    }

    /// <summary>HttpClient sends its own kinds of content to the end before it reads; a server that echoes would wait for it.</summary>
    private sealed class DuplexContent(byte[] bytes) : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => stream.WriteAsync(bytes).Bounded();

        protected override bool TryComputeLength(out long length)
        {
            length = bytes.Length;
            return true;
        }
    }
}
